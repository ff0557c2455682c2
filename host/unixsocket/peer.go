package unixsocket

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
)

// Peer returns the credentials of the process at the other end of a connected unix socket (SO_PEERCRED, unix(7)): of the process that
// called connect(2), or of the one that called listen(2). The kernel translates the numbers into this process's namespaces. Peer makes
// one system call, getsockopt(2).
func Peer(c syscall.Conn) (*unix.Ucred, error) {
	return descriptor.Borrow(c, func(fd int) (*unix.Ucred, error) {
		peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return peer, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	})
}
