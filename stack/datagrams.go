package stack

import (
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// deliverDatagrams hands the UDP datagrams of an admitted frame to netstack, one by one, because it would take the frame for one
// datagram: two questions of a resolver may come in one frame. There is no bound of our own: vnet.Check refuses what Linux could not
// have sent, more than 128 datagrams, and so many cost no more than four batches of single ones.
//
// Each datagram is delivered or dropped for itself, as if it had come alone, and counts as a frame: one that netstack fails on
// neither takes those behind it along nor hides those before it.
func (e *Endpoint) deliverDatagrams(dispatcher netstack.NetworkDispatcher, frame *vswitch.Frame) {
	offload := frame.Offload
	if !vnet.Check(&offload, frame.Data) {
		e.counters.Drop(vswitch.BadOffload, 1)
		return
	}
	piece := make([]byte, vnet.WireLen(offload, frame.Data))
	segments := vnet.Cut(offload, frame.Data)
	for n := segments.Next(piece); n > 0; n = segments.Next(piece) {
		e.deliver(dispatcher, &vswitch.Frame{Data: piece[:n]})
	}
}
