package tap

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Revoke ends the use of a packet socket for all processes that have a copy of its descriptor: none receives or sends a frame with it any
// more. Revoke also empties the socket's queue, which may hold megabytes of the kernel's memory. For other devices it does nothing.
//
// The sandbox of a switch allows nothing that prevents or reverses this, and it outlives the calling process. Without the sandbox, a process
// that has locked the socket's filter or mapped a ring before keeps receiving or sending: the error then names the option that could not be
// set. Its queue holds no more than the system allows everyone (net.core.rmem_max).
func (d Device) Revoke() error {
	if d.Kind != KindPacket {
		return nil
	}
	err := errors.Join(d.dropReceived(), d.blockSending())
	_ = unix.SetsockoptInt(d.FD, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 0) // sets the least size
	d.empty()
	return err
}

// dropReceived attaches a filter that no frame passes, for good (socket(7), SO_LOCK_FILTER).
func (d Device) dropReceived() error {
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0} // K is the number of bytes to receive
	program := unix.SockFprog{Len: 1, Filter: &nothing}
	err := unix.SetsockoptSockFprog(d.FD, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	if err == nil {
		err = unix.SetsockoptInt(d.FD, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1)
	}
	return os.NewSyscallError("SO_ATTACH_FILTER", err)
}

// slotSize is the least size in bytes of a slot in a transmit ring, which leaves less space than an IPv4 header or ARP needs: 32 bytes for
// the frame (tpacket_snd in net/packet/af_packet.c).
const slotSize = 64

// blockSending makes the socket send only what is in a transmit ring, where no frame has space.
func (d Device) blockSending() error {
	page := uint32(os.Getpagesize())
	ring := unix.TpacketReq{Block_size: page, Block_nr: 1, Frame_size: slotSize, Frame_nr: page / slotSize}
	return os.NewSyscallError("PACKET_TX_RING", unix.SetsockoptTpacketReq(d.FD, unix.SOL_PACKET, unix.PACKET_TX_RING, &ring))
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
