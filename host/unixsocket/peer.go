package unixsocket

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Peer returns who is at the other end of a connected socket, as the kernel says (SO_PEERCRED, unix(7)): the process that connected, or
// that listens, with the numbers that this process's namespaces have for it. It makes no other system call than getsockopt.
func Peer(c syscall.Conn) (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return nil, err
	}
	return peer, os.NewSyscallError("getsockopt SO_PEERCRED", failed)
}
