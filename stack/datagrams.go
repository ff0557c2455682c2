package stack

import (
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// deliverDatagrams delivers the UDP datagrams of an admitted frame one by one, because netstack would parse the frame as one datagram;
// two questions of a resolver can arrive in one frame. vnet.Check bounds their number: it refuses more than the 128 that Linux sends.
//
// Each datagram is delivered, dropped and counted as if it were a separate frame.
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
