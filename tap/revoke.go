package tap

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Revoke ends the reception of a packet socket for all processes that have a copy of its descriptor, and empties its queue, which may hold
// megabytes of the kernel's memory. Nothing reverses it. Only sending remains possible. For other devices it does nothing.
func (d Device) Revoke() error {
	if d.Kind != KindPacket {
		return nil
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0} // K is the number of bytes to receive
	program := unix.SockFprog{Len: 1, Filter: &nothing}
	err := unix.SetsockoptSockFprog(d.FD, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	if err == nil {
		err = unix.SetsockoptInt(d.FD, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1)
	}
	if err != nil {
		return os.NewSyscallError("revoke a packet socket", err)
	}
	d.empty()
	return nil
}

// empty discards the queue, which no frame joins any more. It ends also if another process keeps the socket busy.
func (d Device) empty() {
	begin := make([]byte, 64) // with room for the offload header
	for range mostQueued {
		_, _, err := unix.Recvfrom(d.FD, begin, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EINVAL) { // EINVAL: the frame is lost (packetPort.readBatch)
			return
		}
	}
}
