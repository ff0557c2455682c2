package tap

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A few stable releases of Linux, 6.6.44 is one, refuse UDP datagrams in one frame which those before and after them take. Such a frame
// may have been merged here, so it must not be lost: it is cut, and goes on piece by piece.

// isRefused tells whether the kernel has refused a frame for being several datagrams.
func isRefused(err syscall.Errno, f *vswitch.Frame) bool {
	return err == unix.EINVAL && f.Offload.GSOType == vnet.GSOUDPL4
}

// sendCut sends the pieces of a frame, and counts each.
func sendCut(f *vswitch.Frame, c *vswitch.Counters, send func(piece *vswitch.Frame) syscall.Errno) {
	room := make([]byte, vnet.WireLen(f.Offload, f.Data))
	segments := vnet.Cut(f.Offload, f.Data)
	for n := segments.Next(room); n > 0; n = segments.Next(room) {
		if err := send(&vswitch.Frame{Data: room[:n]}); err != 0 {
			c.Drop(transmitReason(err), 1)
			continue
		}
		c.Sent(1, n)
	}
}
