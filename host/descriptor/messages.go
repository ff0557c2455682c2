package descriptor

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Message is struct mmsghdr of recvmmsg(2) and sendmmsg(2): the arguments of one message. The caller owns the memory that it points
// to and keeps it alive during a call.
type Message struct {
	unix.Msghdr
	Length uint32 // bytes received or sent; the kernel sets it
	_      [4]byte
}

// ReceiveMessages receives up to len(messages) messages from the socket fd, without waiting (recvmmsg(2), MSG_DONTWAIT). It fills in
// messages from index 0 and returns their number; the error is 0, or that of the first message. The system call does not block, so it
// bypasses the scheduler's bookkeeping (RawSyscall).
func ReceiveMessages(fd uintptr, messages []Message) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)),
		unix.MSG_DONTWAIT, 0, 0)
	return int(n), err
}

// PeekMessage is ReceiveMessages for one message, which stays in the socket's queue (recv(2), MSG_PEEK).
func PeekMessage(fd uintptr, message *Message) syscall.Errno {
	_, _, err := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(message)), 1, unix.MSG_DONTWAIT|unix.MSG_PEEK, 0, 0)
	return err
}

// SendMessages sends messages to the socket fd in order, without waiting (sendmmsg(2), MSG_DONTWAIT), and returns how many the kernel
// accepted. The error is 0, or that of the first message.
func SendMessages(fd uintptr, messages []Message) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), err
}
