package unixport

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// The types of sockets that a port can be made of, as Socket.Type has them: SOCK_STREAM, SOCK_DGRAM and SOCK_SEQPACKET (unix(7)).
const (
	typeStream = "stream"
	typeDgram  = "dgram"
	typePacket = "seqpacket"
)

// A Socket is an open unix socket that a port can be made of, also in another process than the one that opened it: the
// descriptor travels by SCM_RIGHTS (unix(7)), and the rest as JSON.
type Socket struct {
	FD        int    `json:"-"`                   // belongs to who has the Socket, until Port takes it over
	Type      string `json:"type"`                // "stream", "dgram" or "seqpacket"
	Listening bool   `json:"listening,omitempty"` // of a stream: peers connect; otherwise it is connected
	Connected bool   `json:"connected,omitempty"` // to the one peer that it will ever have
	Remote    string `json:"remote,omitempty"`    // path of a datagram socket's fixed peer; empty: who sent last, or who it is connected to
}

// Port makes a port of the socket, which goes on with the rest that the port before it has left; the zero Rest is none. It needs
// no privilege and opens no file.
//
//   - A listening stream has one peer at a time, and each frame comes behind its length in bytes, four bytes in big-endian order
//     (QEMU, net/stream.c). While a peer is there, another connection is closed at once. When it has gone, Receive waits for the
//     next one, and frames to it are dropped as port-down. A frame without an Ethernet header is counted as short. A length
//     beyond vswitch.MaxFrame is counted as truncated and ends the connection. When the peer does not read, frames are dropped
//     as port-full; one that was begun is completed as soon as it reads again.
//   - A connected stream has the same frames. When the peer hangs up, Receive returns io.EOF, or ECONNRESET if the peer has left
//     something unread, and every other error that ends the stream: there is no coming back.
//   - A datagram is a frame. The peer may come, go and return at any time: frames to an absent one are dropped as port-down, and
//     frames that it has no room for as port-full; the kernel queues net.unix.max_dgram_qlen datagrams for it (unix(7)). Without
//     a Remote and a connection the peer is who sent last, from a socket that has a path: the one-path unixgram of vfkit, whose
//     greeting is no frame. A connected socket loses its peer for good when it sends to one that has closed; what that one has sent
//     and nobody has received yet, the kernel drops then, uncounted (net/unix/af_unix.c, unix_dgram_disconnected).
//   - A packet of a seqpacket socket is a frame too, and Receive returns io.EOF when the peer has hung up and all that it has sent is
//     received. Empty packets are counted as short, but for the very last ones: the kernel tells the end in the same way.
//
// The port takes no offloads: Transmit sends frames as they are. One above vswitch.MaxFrame is counted as too-big. It is a
// vswitch.Interrupter: after Interrupt no connection is accepted any more either, and Transmit works on until Close, or until RestOf
// says what is left.
//
// Options are of use for a listening socket alone. The Socket and the Rest may come from another process: the error says which of
// their fields is wrong. FD and the rest's descriptors belong to the port from here on, also when an error is returned.
func (s Socket) Port(counters *vswitch.Counters, o Options, rest Rest) (vswitch.Port, error) {
	err := s.check()
	if err == nil {
		err = rest.check(s)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(s.FD), rest.close())
	}
	for _, fd := range append(rest.descriptors(), s.FD) {
		unix.CloseOnExec(fd)
	}
	d, err := newDevice(s.FD)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take over fd:%d: %w", s.FD, err), rest.close())
	}
	switch {
	case s.Type != typeStream:
		return newDgramPort(d, counters, s, rest), nil
	case s.Listening:
		return newStreamPort(d, counters, o, rest)
	}
	return newConnectedPort(d, counters, rest), nil
}

// check compares what is said about the socket with what the kernel says. A connected datagram socket is not connected any more
// after it has sent to a peer that has gone.
func (s Socket) check() error {
	have, err := inspect(s.FD)
	if err != nil {
		return err
	}
	if err := have.fit(); err != nil && !(s.Type == typeDgram && s.Connected) {
		return err
	}
	switch {
	case s.Type != have.Type:
		return fmt.Errorf("fd:%d was said to be of type %q; it is of type %q", s.FD, s.Type, have.Type)
	case s.Listening != have.Listening:
		return fmt.Errorf("fd:%d was said to be listening: %t; the kernel says %t", s.FD, s.Listening, have.Listening)
	case s.Connected != have.Connected && s.Type != typeDgram:
		return fmt.Errorf("fd:%d was said to be connected: %t; the kernel says %t", s.FD, s.Connected, have.Connected)
	case s.Remote != "" && (s.Type != typeDgram || s.Connected):
		return fmt.Errorf("fd:%d was said to have the remote %q; want one for a datagram socket that is not connected", s.FD, s.Remote)
	case s.Remote != "":
		return CheckPath(s.Remote)
	}
	return nil
}

// A status is what the kernel says of a socket.
type status struct {
	Socket
	name address // it is bound to; not usable if it is not
}

func inspect(fd int) (s status, err error) {
	s.FD = fd
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_UNIX {
		return s, unfit(fd, "no unix socket", "one")
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return s, os.NewSyscallError("SO_TYPE", err)
	}
	s.Type = map[int]string{unix.SOCK_STREAM: typeStream, unix.SOCK_DGRAM: typeDgram, unix.SOCK_SEQPACKET: typePacket}[kind]
	accepts, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return s, os.NewSyscallError("SO_ACCEPTCONN", err)
	}
	s.Listening = accepts != 0
	_, err = unix.Getpeername(fd)
	s.Connected = err == nil
	s.name, err = nameOf(fd)
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

// fit tells whether the socket has, or can get, a peer.
func (s *status) fit() error {
	switch {
	case s.Type == typeStream && !s.Connected && !s.Listening:
		return unfit(s.FD, "a unix stream socket that neither listens nor is connected", "a listening one, or a connected one such as an end of a socketpair")
	case s.Type == typeDgram && !s.Connected && !s.name.usable():
		return unfit(s.FD, "a unix datagram socket that is neither bound nor connected", "a bound one, or a connected one such as an end of a socketpair")
	case s.Type == typePacket && !s.Connected:
		return unfit(s.FD, "a unix seqpacket socket that is not connected", "a connected one, such as an end of a socketpair")
	}
	return nil
}
