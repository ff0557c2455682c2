package unixport

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// backlog is the largest number of connections that wait to be accepted. A port has one peer at a time.
const backlog = 4

// Listen creates a listening unix stream socket at path. A hypervisor connects to it, QEMU for example with
// -netdev stream,server=off,addr.type=unix,addr.path=PATH.
//
// The socket's file has mode 0600 and belongs to the user with the number owner, or with -1 to this process's user. A process that may
// write to the file may send and receive the guest's frames. Listen replaces a file that an ended process has left. It refuses a
// directory in which every user may replace the file, unless the directory has the sticky bit or is the root of a mounted volume.
//
// The caller owns the Socket's descriptor until Socket.Port, and closes the File when the socket is no longer used. The error is a
// *PathError if path cannot be used for a socket, and a *missing.Error if another process has the path or a permission is missing.
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

// Bind creates a unix datagram socket at the path local. Its peer is the socket at the path remote; if remote is empty, the peer is the
// sender of the last frame. QEMU's side is -netdev dgram,local.type=unix,local.path=REMOTE,remote.type=unix,remote.path=LOCAL. The process
// that has the port needs write access to the remote's file, and resolves a relative path in its own working directory.
//
// The file, owner, the requirements for the directory and the errors are those of Listen.
func Bind(local, remote string, owner int) (Socket, *File, error) {
	if remote != "" {
		if err := checkPath(remote); err != nil {
			return Socket{}, nil, err
		}
		if remote == local {
			return Socket{}, nil, &PathError{remote, "is both the local and the remote path; want two paths"}
		}
	}
	fd, file, err := bind(local, unix.SOCK_DGRAM, owner)
	if err != nil {
		return Socket{}, nil, err
	}
	enlarge(fd)
	return Socket{FD: fd, Type: typeDgram, Remote: remote}, file, nil
}
