package tap

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A packet socket has no virtio-net header for a datagram that its sender has left to be cut into IP fragments (UFO): an older guest's, of a
// hypervisor that offers it (QEMU's host_ufo). Instead of the frame, recvmmsg(2) returns EINVAL, and the frame is lost (virtio_net_hdr_from_skb,
// linux/virtio_net.h). Only the kernel's description of the frame is impossible, not the frame. Therefore:
//
//  1. While careful, receiveSome peeks at each frame first. EINVAL then does not remove it from the queue.
//  2. readDatagram receives that frame without a virtio-net header, and makes one that says the same (vnet.Datagram).
//
// To peek costs a system call for each frame, in place of one for a batch. A port is careful at its start, because a driver that uses UFO
// does so with its first large datagram, and for a time after such a frame was lost or found.
const (
	carefulAtFirst    = 1 << 12 // frames
	carefulAfterwards = 1 << 16 // a sender of such frames may send few of them
)

// errDatagram says that the next frame in the queue is one without a virtio-net header. No system call of this package returns this error.
const errDatagram = unix.ENOMSG

// receiveSome receives up to n frames into p.rx, and returns their number.
func (p *packetPort) receiveSome(fd uintptr, n int) (got int, errno syscall.Errno) {
	if p.careful.Load() <= 0 {
		return p.rx.receive(fd, n)
	}
	for got < n {
		errno = descriptor.PeekMessage(fd, &p.rx.peek)
		if errno == 0 {
			_, errno = p.rx.receiveAt(fd, got, got+1)
		} else if errno == unix.EINVAL && got == 0 && descriptor.PeekMessage(fd, &p.rx.peek) == unix.EINVAL {
			errno = errDatagram // the first error may be a pending one, of a frame that is lost already
		}
		if errno != 0 {
			break
		}
		got++
	}
	p.careful.Add(-int32(got))
	if got > 0 && errno != 0 {
		p.lost(errno) // the error was a pending one, and is cleared
		errno = 0     // the next call finds any other again
	}
	return got, errno
}

// readDatagram receives a frame that has no virtio-net header, and returns the number of frames in batch. The socket serves transmitting too, in
// another goroutine: mu keeps it from sending a frame with a header while the kernel expects none.
func (p *packetPort) readDatagram(fd uintptr, batch []vswitch.Frame) int {
	p.careful.Store(carefulAfterwards)
	p.mu.Lock()
	defer p.mu.Unlock()
	if unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_VNET_HDR, 0) != nil {
		_, _ = p.rx.receive(fd, 1) // removes the frame from the queue; otherwise it would be found again
		p.unknown()
		return 0
	}
	data, partial, errno := p.rx.receiveBare(fd)
	_ = unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1) // what could be switched off can be switched on
	if errno != 0 && errno != unix.EINVAL {
		return 0 // the next receive finds the error again
	}
	h, ok := vnet.Datagram(data)
	if errno != 0 || !ok || !partial {
		p.unknown()
		return 0
	}
	batch[0] = vswitch.Frame{Offload: h, Data: data}
	return 1
}

// unknown counts a frame that was lost because the kernel cannot describe its offloads.
func (p *packetPort) unknown() {
	p.counters.Drop(vswitch.ReceiveError, 1)
	p.careful.Store(carefulAfterwards)
	if p.events != nil {
		p.events.UnknownOffload()
	}
}
