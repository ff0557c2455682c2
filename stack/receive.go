package stack

import (
	"net"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// From netstack to the switch: packets become contiguous frames, and unfinished checksums and segmentation become offload headers.

// smallBuffer is the initial size in bytes of a receiver's buffers: frames of an ordinary MTU. The first larger frame in a slot gives it a
// buffer for the largest.
const smallBuffer = 2048

// A receiver has the buffers of the one goroutine in Receive.
type receiver struct {
	packets [vswitch.BatchSize]*netstack.PacketBuffer
	buffers [vswitch.BatchSize][]byte
}

// Receive implements vswitch.Port: it waits for packets that netstack sends. The frames are valid until the next call. It returns
// net.ErrClosed after Close.
func (e *Endpoint) Receive(batch []vswitch.Frame) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	r := &e.receiver
	n := e.link.queue.pop(r.packets[:min(len(batch), vswitch.BatchSize)])
	if n == 0 {
		return 0, net.ErrClosed
	}
	for i, pkt := range r.packets[:n] {
		batch[i] = vswitch.Frame{Offload: offload(pkt), Data: r.flatten(i, pkt)}
		pkt.DecRef()
		r.packets[i] = nil
	}
	return n, nil
}

// flatten copies pkt into the buffer of slot i.
func (r *receiver) flatten(i int, pkt *netstack.PacketBuffer) []byte {
	size := pkt.Size()
	if size > len(r.buffers[i]) {
		r.buffers[i] = make([]byte, bufferSize(size))
	}
	data := r.buffers[i][:size]
	views, skip := pkt.AsViewList()
	n := 0
	for view := views.Front(); view != nil; view = view.Next() {
		part := view.AsSlice()
		part = part[min(skip, len(part)):]
		skip -= min(skip, view.Size())
		n += copy(data[n:], part)
	}
	return data[:n]
}

// bufferSize returns the length of a buffer for frames of size bytes.
func bufferSize(size int) int {
	if size <= smallBuffer {
		return smallBuffer
	}
	return max(size, vswitch.MaxFrame)
}

// offload returns the offload header of a packet. CsumOffset and MSS come from netstack, the offsets from the headers.
func offload(pkt *netstack.PacketBuffer) vnet.Header {
	gso := pkt.GSOOptions
	kind := uint8(vnet.GSOTCPv4)
	switch {
	case !gso.NeedsCsum, gso.Type != netstack.GSOTCPv4 && gso.Type != netstack.GSOTCPv6:
		return vnet.Header{}
	case gso.Type == netstack.GSOTCPv6:
		kind = vnet.GSOTCPv6
	}
	start := header.EthernetMinimumSize + len(pkt.NetworkHeader().Slice())
	h := vnet.Header{
		Flags:      vnet.FlagNeedsChecksum,
		CsumStart:  uint16(start),
		CsumOffset: gso.CsumOffset,
	}
	if gso.MSS > 0 && pkt.Data().Size() > int(gso.MSS) {
		h.GSOType = kind
		h.GSOSize = gso.MSS
		h.HdrLen = uint16(start + len(pkt.TransportHeader().Slice()))
	}
	return h
}
