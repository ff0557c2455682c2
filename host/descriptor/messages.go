package descriptor

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Message is struct mmsghdr of recvmmsg(2): the arguments of one message.
type Message struct {
	unix.Msghdr
	Length uint32 // bytes that were received or sent
	_      [4]byte
}

// ReceiveMessages fills in messages with what waits in a socket, from index 0, and returns how many. It cannot block, so the scheduler
// need not hear of it. What the messages point at is the caller's, who keeps it alive.
func ReceiveMessages(fd uintptr, messages []Message) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)),
		unix.MSG_DONTWAIT, 0, 0)
	return int(n), err
}

// SendMessages sends messages in order, and returns how many the kernel took. As ReceiveMessages, it cannot block.
func SendMessages(fd uintptr, messages []Message) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), err
}
