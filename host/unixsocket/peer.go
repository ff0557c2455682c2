package unixsocket

import (
	"fmt"
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

// Describe names a process in messages. pid and uid are those of its credentials (Peer); a pid of 0 means a process namespace that this
// process cannot see into, as of another container (pid_namespaces(7)).
func Describe(pid, uid int) string {
	if pid == 0 {
		return fmt.Sprintf("a process in another container (user %d)", uid)
	}
	return fmt.Sprintf("process %d", pid)
}
