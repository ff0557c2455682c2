package vswitch

import "github.com/podswitch/podswitch/vnet"

// scratchSize is the room for frames that the switch makes itself while it works on one batch: ARP, ICMP, fragments.
const scratchSize = 2 * MaxFrame

// An Out collects what a Forwarder decided about one batch. It belongs to one goroutine.
type Out struct {
	in      *Counters   // of the port where the batch entered
	ports   []*Counters // by port; nil in the Out of a port
	to      [][]Frame   // by egress port, in order
	touched []int       // the egress ports with frames
	scratch []byte
	used    int
	piece   Frame // the fragment that is being sent
}

// NewOut returns an Out for a switch of so many ports; drops are counted at in.
func NewOut(ports int, in *Counters) *Out {
	return &Out{in: in, to: make([][]Frame, ports)}
}

// NewTickOut returns an Out for the ticks of a switch whose ports have these counters: a frame that waited is dropped at the
// port where it entered, and what entered nowhere at none.
func NewTickOut(none *Counters, ports []*Counters) *Out {
	out := NewOut(len(ports), none)
	out.ports = ports
	return out
}

// at returns the counters of a port; those of the batch, if o does not know the port's.
func (o *Out) at(port int) *Counters {
	if port < len(o.ports) {
		return o.ports[port]
	}
	return o.in
}

// Send adds a frame to what leaves at port.
func (o *Out) Send(port int, f Frame) {
	if len(o.to[port]) == 0 {
		o.touched = append(o.touched, port)
	}
	o.to[port] = append(o.to[port], f)
}

// Drop counts a frame that is not delivered.
func (o *Out) Drop(r Reason) { o.in.Drop(r, 1) }

// Flush hands each port's frames to transmit, in the order in which the ports were first used, and empties o.
func (o *Out) Flush(transmit func(port int, frames []Frame)) {
	for _, port := range o.touched {
		transmit(port, o.to[port])
		clear(o.to[port]) // a port that is lost leaves with its memory
		o.to[port] = o.to[port][:0]
	}
	o.touched = o.touched[:0]
	o.used = 0
}

// buffer returns n writable bytes that live until the flush, or nil when the scratch space is used up.
func (o *Out) buffer(n int) []byte {
	if o.scratch == nil {
		o.scratch = make([]byte, scratchSize)
	}
	if o.used+n > len(o.scratch) {
		return nil
	}
	b := o.scratch[o.used : o.used+n : o.used+n]
	o.used += n
	return b
}

// fragment cuts an IPv4 frame that may be fragmented into packets of at most mtu bytes (RFC 791, section 2.3) and calls send
// for each. The checksum is completed first, because fragments leave without offloads.
func (o *Out) fragment(f *Frame, mtu int, send func(*Frame)) {
	vnet.Complete(f.Offload, f.Data)
	fragments, ok := vnet.Split(f.Data, mtu)
	if !ok {
		o.Drop(TooBig)
		return
	}
	for !fragments.Done() {
		b := o.buffer(ethernetLen + mtu)
		if b == nil {
			o.Drop(NoBuffer)
			return
		}
		n := fragments.Next(b)
		o.used -= len(b) - n
		o.piece = Frame{Data: b[:n]}
		send(&o.piece)
	}
}
