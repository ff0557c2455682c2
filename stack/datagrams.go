package stack

import (
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// maxDatagrams is the largest number of UDP datagrams in a frame that are delivered: no port merges more, and one frame costs no more
// than a batch of single ones.
const maxDatagrams = vswitch.BatchSize

// handDatagrams hands the UDP datagrams of a frame to netstack, one by one, because it would take the frame for one datagram: two
// questions of a resolver may come in one frame. It stops at the first that cannot be delivered.
func (e *Endpoint) handDatagrams(dispatcher netstack.NetworkDispatcher, frame *vswitch.Frame) (vswitch.Reason, bool) {
	offload := frame.Offload
	if !vnet.Check(&offload, frame.Data) {
		return vswitch.BadOffload, false
	}
	if len(frame.Data) > int(offload.HdrLen)+maxDatagrams*int(offload.GSOSize) {
		return vswitch.Unwanted, false
	}
	piece := make([]byte, vnet.WireLen(offload, frame.Data))
	segments := vnet.Cut(offload, frame.Data)
	for n := segments.Next(piece); n > 0; n = segments.Next(piece) {
		if reason, ok := e.hand(dispatcher, &vswitch.Frame{Data: piece[:n]}); !ok {
			return reason, false
		}
	}
	return 0, true
}
