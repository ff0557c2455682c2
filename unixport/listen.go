package unixport

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// backlog is the number of connections that wait to be accepted at most: there is one peer.
const backlog = 4

// Listen makes a unix stream socket for a hypervisor that connects, as QEMU does with
// -netdev stream,server=off,addr.type=unix,addr.path=PATH.
//
// The socket's file has the mode 0600, and is given to the user with the number owner; with -1 it stays with the user of this
// process. Who may write to the file is on the guest's wire. One that a dead process left is replaced. The folder must not be one
// where everybody may replace the file: its mode or the sticky bit has to prevent that, or it is the top of a mounted volume,
// which is for those who mount it.
//
// The caller owns the descriptor, and closes the File when the socket has no further use. The error is a *PathError for a path
// that cannot be a socket's, and a *missing.Error when another process holds it or a permission is missing.
func Listen(path string, owner int) (Socket, *File, error) {
	fd, file, err := bind(path, unix.SOCK_STREAM, owner)
	if err != nil {
		return Socket{}, nil, err
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return Socket{}, nil, errors.Join(fmt.Errorf("listen on %q: %w", path, err), unix.Close(fd), file.Close())
	}
	return Socket{FD: fd, Type: typeStream, Listening: true}, file, nil
}

// Bind makes a unix datagram socket at the path local that speaks with the socket at the path remote, one frame a datagram, as
// QEMU does with -netdev dgram,local.type=unix,local.path=REMOTE,remote.type=unix,remote.path=LOCAL. Without a remote the peer is
// who sent last. The process that has the port must be allowed to write to the remote's file, and sees a relative path from
// where it is.
//
// File, owner, folder and errors are as with Listen.
func Bind(local, remote string, owner int) (Socket, *File, error) {
	if remote != "" {
		if err := CheckPath(remote); err != nil {
			return Socket{}, nil, err
		}
		if remote == local {
			return Socket{}, nil, &PathError{remote, "is both the local and the remote one; want two paths"}
		}
	}
	fd, file, err := bind(local, unix.SOCK_DGRAM, owner)
	if err != nil {
		return Socket{}, nil, err
	}
	enlarge(fd)
	return Socket{FD: fd, Type: typeDgram, Remote: remote}, file, nil
}
