package tap

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// An error that waits in a socket is found by whatever call comes first, and is gone then (sock_error, net/core/sock.c). On a
// packet socket such errors are for the receiver: that the device went down, or was lost, and that a frame could not be told. A
// send that comes before the receiver loses its own frame by that, and could leave the receiver waiting for ever.

// sendFrom sends p.out from an index on. Where the error may be one that was the receiver's, it sends again, and what cannot be
// sent because the device is lost, the receiver hears of.
func (p *packetPort) sendFrom(fd uintptr, at int) (int, syscall.Errno) {
	sent, found := p.tx.send(fd, at, len(p.out))
	if found != unix.EINVAL && found != unix.ENETDOWN && found != unix.ENXIO {
		return sent, found
	}
	sent, err := p.tx.send(fd, at, len(p.out))
	switch {
	case err == 0 && found == unix.EINVAL:
		p.counters.Drop(vswitch.ReceiveError, 1) // as in readBatch
	case err == unix.ENETDOWN || err == unix.ENXIO:
		p.lost(probe(fd))
	}
	return sent, err
}

// probe asks whether the device is lost, and returns ENETDOWN or ENXIO then: a message without room for its virtio-net header is
// refused with another error where the device is up, before anything takes an error that waits (packet_snd,
// net/packet/af_packet.c). The error of a send does not tell: a device without a queue says ENETDOWN also when it is busy.
func probe(fd uintptr) syscall.Errno {
	_, err := unix.Write(int(fd), []byte{0})
	errno, _ := err.(syscall.Errno)
	return errno
}

// lost tells the receiver that the device is lost, if that is what the error says. The wake-up outlasts the frames that wait.
func (p *packetPort) lost(err syscall.Errno) {
	if (err == unix.ENETDOWN || err == unix.ENXIO) && p.down.CompareAndSwap(0, uintptr(err)) {
		p.Wake()
	}
}

// isLost reports whether it was found that the device is lost. That ends the receive, once there are no more frames.
func (p *packetPort) isLost() bool {
	errno := syscall.Errno(p.down.Load())
	if errno == 0 {
		return false
	}
	p.err = os.NewSyscallError("recvmmsg", errno)
	return true
}
