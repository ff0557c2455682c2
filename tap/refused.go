package tap

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// Some stable releases of Linux, 6.6.44 for example, refuse a frame of several UDP datagrams that the releases before and after accept.
// A port of this package may have merged the frame, so it must not be lost: the transmitting port cuts it and sends the pieces.
//
// Every kernel refuses segments in a tunnel, for which the header in use has no words.

// isRefused reports whether the kernel has refused f because it consists of several datagrams, of the fragments of one, or of segments in a
// tunnel.
func isRefused(err syscall.Errno, f *vswitch.Frame) bool {
	return err == unix.EINVAL && (f.Offload.GSOType == vnet.GSOUDPL4 || f.Offload.GSOType == vnet.GSOUDP ||
		f.Offload.GSOType&(vnet.GSOTunnelIPv4|vnet.GSOTunnelIPv6) != 0)
}

// sendCut cuts f, sends the pieces and counts each of them. It allocates, which is acceptable only because such kernels and tunnels are rare.
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
