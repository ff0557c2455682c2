package vswitch

import (
	"github.com/podswitch/podswitch/internal/packet"
	"github.com/podswitch/podswitch/vnet"
)

// scratchSize is the most bytes of frames that a forwarder makes itself for one batch: ARP, ICMP, fragments. It is enough for the fragments of a
// batch of the largest packets at every MTU: at the smallest, 68 bytes, each 48 bytes of payload take 82.
const scratchSize = 2 * BatchSize * MaxFrame

// chunkSize is the size of one piece of the memory for them. A piece is allocated when a batch first needs it, and kept: without fragments to
// make, one is enough.
const chunkSize = 2 * MaxFrame

// An Out collects a Forwarder's decisions about one batch. It must not be used concurrently.
type Out struct {
	in      *Counters   // of the ingress port
	ports   []*Counters // by port, for ticks; nil for batches
	to      [][]Frame   // by egress port, in order
	touched []int       // egress ports with frames, in the order of their first use
	used    int         // bytes of frames made for this batch
	chunks  [][]byte    // memory for them
	chunk   int         // index of the one in use
	free    int         // offset of its first free byte
	piece   Frame       // the fragment that is being sent
	uplink  *uplink     // that a Delegate decides the batch with
}

// NewOut returns an Out for the batches that enter at one port of a switch. The switch has the given number of ports; in is where
// drops are counted.
func NewOut(ports int, in *Counters) *Out {
	return &Out{in: in, to: make([][]Frame, ports)}
}

// newTickOut returns an Out for the ticks of a switch whose ports have these counters. The drop of a frame that waited is counted at
// the port where the frame entered; other drops, of frames that the forwarder made, are counted at own.
func newTickOut(own *Counters, ports []*Counters) *Out {
	out := NewOut(len(ports), own)
	out.ports = ports
	return out
}

// at returns the counters of a port, or those of the batch if o does not have the port's.
func (o *Out) at(port int) *Counters {
	if port < len(o.ports) {
		return o.ports[port]
	}
	return o.in
}

// Send adds a frame to those that leave at port, in order. The frame's data must stay valid until Flush.
func (o *Out) Send(port int, f Frame) {
	if len(o.to[port]) == 0 {
		o.touched = append(o.touched, port)
	}
	o.to[port] = append(o.to[port], f)
}

// Drop counts one frame as dropped at the ingress port.
func (o *Out) Drop(r Reason) { o.in.Drop(r, 1) }

// Flush calls transmit with the frames for each port, in the order in which Send first used the ports, and empties o. The frames
// belong to transmit until it returns.
func (o *Out) Flush(transmit func(port int, frames []Frame)) {
	for _, port := range o.touched {
		transmit(port, o.to[port])
		clear(o.to[port]) // do not keep the memory of a closed port
		o.to[port] = o.to[port][:0]
	}
	o.touched = o.touched[:0]
	o.used, o.chunk, o.free = 0, 0, 0
}

// buffer returns n writable bytes that are valid until Flush, or nil if there are more than scratchSize with them. n is at most chunkSize.
func (o *Out) buffer(n int) []byte {
	if o.used+n > scratchSize {
		return nil
	}
	if o.free+n > chunkSize {
		o.chunk, o.free = o.chunk+1, 0
	}
	if o.chunk == len(o.chunks) {
		o.chunks = append(o.chunks, make([]byte, chunkSize))
	}
	b := o.chunks[o.chunk][o.free : o.free+n : o.free+n]
	o.used, o.free = o.used+n, o.free+n
	return b
}

// giveBack returns the last n bytes of the last buffer.
func (o *Out) giveBack(n int) { o.used, o.free = o.used-n, o.free-n }

// fragment cuts an IPv4 frame without DF into packets of at most mtu bytes (RFC 791, section 2.3) and calls send for each. It
// completes the checksum first, because a fragment has no offload header.
func (o *Out) fragment(f *Frame, mtu int, send func(*Frame)) {
	vnet.Complete(f.Offload, f.Data)
	fragments, ok := vnet.Split(f.Data, mtu)
	if !ok {
		o.Drop(TooBig)
		return
	}
	for !fragments.Done() {
		b := o.buffer(packet.EthernetLen + mtu)
		if b == nil {
			o.Drop(NoBuffer)
			return
		}
		n := fragments.Next(b)
		o.giveBack(len(b) - n)
		o.piece = Frame{Data: b[:n]}
		send(&o.piece)
	}
}
