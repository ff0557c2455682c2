package sandbox

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// message is struct mmsghdr of recvmmsg(2).
type message struct {
	unix.Msghdr
	len uint32
	_   [4]byte
}

// A batch receives and sends messages as a port does.
type batch struct {
	buffers [16][64]byte
	vectors [16]unix.Iovec
	all     [16]message
}

func newBatch() *batch {
	b := &batch{}
	for i := range b.all {
		b.vectors[i].Base = &b.buffers[i][0]
		b.all[i].Iov = &b.vectors[i]
		b.all[i].SetIovlen(1)
	}
	return b
}

func (b *batch) receive(fd uintptr) (int, error) {
	for i := range b.vectors {
		b.vectors[i].SetLen(len(b.buffers[i]))
	}
	n, _, err := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.all[0])), uintptr(len(b.all)), unix.MSG_DONTWAIT, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

// send sends the first n received messages back.
func (b *batch) send(fd uintptr, n int) error {
	for i := range n {
		b.vectors[i].SetLen(int(b.all[i].len))
	}
	_, _, err := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.all[0])), uintptr(n), 0, 0, 0)
	if err != 0 {
		return err
	}
	return nil
}
