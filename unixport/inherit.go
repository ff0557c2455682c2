package unixport

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// passOn is the remedy for a descriptor that was not inherited.
const passOn = "the process that starts podswitch opens it and passes it on"

// Inherited reports whether an inherited descriptor is a unix socket, without changing the descriptor. The error is a *missing.Error if fd
// is not open, or if this process has opened it or has already used it: such a descriptor has FD_CLOEXEC set, and execve(2) would have
// closed it.
func Inherited(fd int) (isUnix bool, err error) {
	what := fmt.Sprintf("use fd:%d", fd)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	switch {
	case err != nil:
		return false, &missing.Error{What: what, Need: "an open descriptor", Give: passOn, Err: err}
	case flags&unix.FD_CLOEXEC != 0:
		return false, &missing.Error{What: what, Need: "an inherited descriptor", Give: passOn,
			Err: errors.New("podswitch has opened this descriptor itself, or uses it already")}
	}
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	return err == nil && domain == unix.AF_UNIX, nil
}

// Inherit makes a Socket of a unix socket that the parent process has opened. It asks the kernel for the type:
//
//   - a connected stream socket, for example one end of a socketpair;
//   - a listening stream socket, as socket activation passes it on;
//   - a datagram socket that is connected, or bound, whose peer is then the sender of the last frame;
//   - a connected seqpacket socket.
//
// The caller owns the descriptor, which has FD_CLOEXEC from here on, so that it can be used once. The socket's file, if it has one,
// stays. The error is that of Inherited, or a *missing.Error that names the type of a descriptor of which no port can be made; the
// descriptor is unchanged then.
func Inherit(fd int) (Socket, error) {
	if _, err := Inherited(fd); err != nil {
		return Socket{}, err
	}
	s, err := inspect(fd)
	if err != nil {
		return Socket{}, err
	}
	if err := s.checkPeer(); err != nil {
		return Socket{}, err
	}
	unix.CloseOnExec(fd)
	enlarge(fd)
	return s.Socket, nil
}

// unfit returns an error that says what the descriptor is and what is wanted.
func unfit(fd int, is, want string) error {
	return &missing.Error{What: fmt.Sprintf("use fd:%d, which is %s", fd, is), Need: want}
}
