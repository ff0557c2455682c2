package unixport

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// passOn is what gives an inherited descriptor.
const passOn = "let the one who starts podswitch open it and pass it on"

// Inherited tells whether an inherited descriptor is a unix socket, and changes nothing about it. The error is a *missing.Error
// for a number that is no open descriptor, and for a descriptor that this process has opened itself or taken over before: it
// closes on exec, and such a one cannot have been inherited (execve(2)).
func Inherited(fd int) (isUnix bool, err error) {
	what := fmt.Sprintf("take over fd:%d", fd)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	switch {
	case err != nil:
		return false, &missing.Error{What: what, Need: "an open descriptor", Give: passOn, Err: err}
	case flags&unix.FD_CLOEXEC != 0:
		return false, &missing.Error{What: what, Need: "an inherited descriptor", Give: passOn,
			Err: errors.New("podswitch itself has opened this one, or taken it over already")}
	}
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	return err == nil && domain == unix.AF_UNIX, nil
}

// Inherit takes over a unix socket that somebody else has opened and passed on, and asks the kernel what it is:
//
//   - a connected stream socket, one end of a socketpair for example;
//   - a listening stream socket, as socket activation passes it on;
//   - a connected datagram socket, or one that is bound, whose peer is who sends last;
//   - a connected seqpacket socket.
//
// The socket's file, if it has one, stays. From here on the descriptor closes on exec, so that it is inherited once. The error is
// as of Inherited, and a *missing.Error that names what the descriptor is when no port can be made of it; it is left as it was
// then.
func Inherit(fd int) (Socket, error) {
	if _, err := Inherited(fd); err != nil {
		return Socket{}, err
	}
	s, err := inspect(fd)
	if err != nil {
		return Socket{}, err
	}
	if err := s.fit(); err != nil {
		return Socket{}, err
	}
	unix.CloseOnExec(fd)
	enlarge(fd)
	return s.Socket, nil
}

// unfit says what the descriptor is and what would be right.
func unfit(fd int, is, want string) error {
	return &missing.Error{What: fmt.Sprintf("take over fd:%d, which is %s", fd, is), Need: want}
}
