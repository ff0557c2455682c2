package tap

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A socket has one pending error. The next system call on the socket returns it, whatever it does, and clears it (sock_error,
// net/core/sock.c). The pending errors of a packet socket concern the receiver: the device went down (ENETDOWN), it was removed (ENXIO),
// or the kernel could not describe a frame with a virtio-net header (EINVAL). A send that comes first would drop its own frame, and the
// receiver would never learn that the device is lost. Therefore:
//
//  1. sendFrom sends again after one of these errors: the first call has cleared it.
//  2. If the second call fails because of the device, probe asks whether the device is lost.
//  3. lost stores the error and wakes the receiver, which returns it when its queue is empty (lossError).

// sendFrom sends p.out from index at on, and returns how many frames the kernel has accepted.
func (p *packetPort) sendFrom(fd uintptr, at int) (int, syscall.Errno) {
	sent, found := p.tx.send(fd, at, len(p.out))
	if found != unix.EINVAL && found != unix.ENETDOWN && found != unix.ENXIO {
		return sent, found
	}
	sent, err := p.tx.send(fd, at, len(p.out))
	switch {
	case err == 0 && found == unix.EINVAL:
		p.unknown() // as in readBatch
	case err == unix.ENETDOWN || err == unix.ENXIO:
		p.lost(probe(fd))
	}
	return sent, err
}

// probe returns ENETDOWN or ENXIO if the device is lost. It sends a message that is too short for its virtio-net header: the kernel
// checks the device first and the length next, before it looks at a pending error (packet_snd, net/packet/af_packet.c). The error of a
// frame's own send does not suffice: a device without a queue returns ENETDOWN also when it is busy.
func probe(fd uintptr) syscall.Errno {
	_, err := unix.Write(int(fd), []byte{0})
	errno, _ := err.(syscall.Errno)
	return errno
}

// lost tells the receiver that the device is lost, if err says so. The wake-up stays pending while the receiver reads queued frames.
func (p *packetPort) lost(err syscall.Errno) {
	if (err == unix.ENETDOWN || err == unix.ENXIO) && p.down.CompareAndSwap(0, uintptr(err)) {
		p.Wake()
	}
}

// lossError returns the error that lost has stored, or nil. The receiver asks when its queue is empty.
func (p *packetPort) lossError() error {
	errno := syscall.Errno(p.down.Load())
	if errno == 0 {
		return nil
	}
	return os.NewSyscallError("recvmmsg", errno)
}
