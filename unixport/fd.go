package unixport

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/missing"
	"github.com/podswitch/podswitch/vswitch"
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

// OpenFD makes a port of a unix socket that somebody else has opened and passed on. Which of them it is, the kernel says:
//
//   - a connected stream socket, one end of a socketpair for example: frames as OpenStream has them. When the peer hangs up,
//     Receive returns io.EOF, and every other error that ends the stream: there is no coming back.
//   - a listening stream socket, as socket activation passes it on: as OpenStream, but for the file, which stays.
//   - a connected datagram socket, or one that is bound: as OpenDgram with and without a remote; its file stays.
//   - a connected SOCK_SEQPACKET socket: one frame a packet, and Receive returns io.EOF when the peer hangs up.
//
// Options are of use for a listening socket alone. The error is a *missing.Error that names what the descriptor is when no port
// can be made of it; it is left as it was then. Otherwise the port owns it from here on, also when an error is returned.
func OpenFD(fd int, counters *vswitch.Counters, o Options) (vswitch.Port, error) {
	s, err := inspect(fd)
	if err != nil {
		return nil, err
	}
	if err := s.check(fd); err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	d, err := newDevice(fd)
	if err != nil {
		return nil, fmt.Errorf("take over fd:%d: %w", fd, err)
	}
	switch {
	case s.kind != unix.SOCK_STREAM:
		p := newDgramPort(d, counters)
		p.fixed, p.connected, p.ends = s.connected, s.connected, s.kind == unix.SOCK_SEQPACKET
		return p, nil
	case s.listening:
		return newStreamPort(d, counters, o), nil
	}
	return newConnectedPort(d, counters), nil
}

// A socket is what the kernel says of an inherited unix socket.
type socket struct {
	kind                        int // SOCK_STREAM and so on
	listening, connected, bound bool
}

func inspect(fd int) (s socket, err error) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_UNIX {
		return s, unfit(fd, "no unix socket", "one")
	}
	if s.kind, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
		return s, os.NewSyscallError("SO_TYPE", err)
	}
	accepts, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return s, os.NewSyscallError("SO_ACCEPTCONN", err)
	}
	s.listening = accepts != 0
	_, err = unix.Getpeername(fd)
	s.connected = err == nil
	own, err := nameOf(fd)
	s.bound = own.usable()
	return s, err
}

// nameOf returns the address that a socket is bound to; unix.Getsockname cannot tell none from an abstract one.
func nameOf(fd int) (a address, err error) {
	a.len = uint32(unsafe.Sizeof(a.name))
	_, _, errno := unix.Syscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&a.name)), uintptr(unsafe.Pointer(&a.len)))
	if errno != 0 {
		return address{}, os.NewSyscallError("getsockname", errno)
	}
	return a, nil
}

// check tells whether the socket has, or can get, a peer.
func (s socket) check(fd int) error {
	switch {
	case s.kind == unix.SOCK_STREAM && !s.connected && !s.listening:
		return unfit(fd, "a unix stream socket that neither listens nor is connected", "a listening one, or a connected one such as an end of a socketpair")
	case s.kind == unix.SOCK_DGRAM && !s.connected && !s.bound:
		return unfit(fd, "a unix datagram socket that is neither bound nor connected", "a bound one, or a connected one such as an end of a socketpair")
	case s.kind == unix.SOCK_SEQPACKET && !s.connected:
		return unfit(fd, "a unix seqpacket socket that is not connected", "a connected one, such as an end of a socketpair")
	}
	return nil
}

// unfit says what the descriptor is and what would be right.
func unfit(fd int, is, want string) error {
	return &missing.Error{What: fmt.Sprintf("take over fd:%d, which is %s", fd, is), Need: want}
}
