package unixport

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// The values of Socket.Type: SOCK_STREAM, SOCK_DGRAM and SOCK_SEQPACKET (unix(7)).
const (
	typeStream = "stream"
	typeDgram  = "dgram"
	typePacket = "seqpacket"
)

// A Socket is an open unix socket, of which Port makes a port. It may be used in another process than the one that opened it: FD travels
// by SCM_RIGHTS (unix(7)) and the other fields as JSON. The holder of a Socket owns FD until Port or Resume. The zero value is not
// valid.
type Socket struct {
	FD        int    `json:"-"`                   // the open socket
	Type      string `json:"type"`                // "stream", "dgram" or "seqpacket"
	Listening bool   `json:"listening,omitempty"` // a stream to which peers connect
	Connected bool   `json:"connected,omitempty"` // connected to its only peer
	Remote    string `json:"remote,omitempty"`    // path of a datagram socket's peer; empty: the connected peer, or the sender of the last frame
}

// Port makes a port of the socket. The port owns FD from here on; after an error FD is closed. Port needs no privilege and opens no file.
// It checks the fields against the kernel, because they may come from another process; the error names the wrong one.
//
//   - A listening stream has one peer at a time. Each frame comes behind its length in bytes, four bytes in big-endian order (QEMU,
//     net/stream.c). While a peer is connected, a further connection is closed at once. After the peer has hung up, Receive waits for the
//     next one, and Transmit drops frames as port-down. A frame without an Ethernet header is dropped as short. A length above
//     vswitch.MaxFrame is counted as truncated and ends the connection. If the peer does not read, frames are dropped as port-full; a frame
//     that was begun is completed as soon as the peer reads again.
//   - A connected stream has the same framing. Receive returns io.EOF when the peer has hung up, ECONNRESET if the peer has not read
//     everything, or another error that ends the stream. The port cannot be used for another peer.
//   - Each datagram is a frame. The peer may disappear and return at any time: frames to an absent peer are dropped as port-down, and
//     frames that it has no room for as port-full; the kernel queues net.unix.max_dgram_qlen datagrams (unix(7)), and
//     Transmit waits up to two milliseconds for a peer that reads. Without a Remote and a
//     connection, the peer is the last sender that has a path, as for vfkit's unixgram, whose greeting is ignored. A connected socket loses
//     its peer for good when it sends after the peer has closed; the kernel then drops the peer's unreceived datagrams, without a counter
//     (unix_dgram_disconnected, net/unix/af_unix.c).
//   - Each packet of a seqpacket socket is a frame. Receive returns io.EOF when the peer has hung up and all its packets are received. Empty
//     packets are dropped as short, except for those that mean the end.
//
// The port has no offloads: Transmit sends frames as they are, and drops a frame above vswitch.MaxFrame as too-big. The port is a
// vswitch.Interrupter; after Interrupt it also accepts no connection, and Transmit works until StateOf or Close. c outlives the port, and
// several ports that follow one another may share it. o is used for a listening stream only.
func (s Socket) Port(c *vswitch.Counters, o Options) (vswitch.Port, error) {
	return s.Resume(c, o, handover.Socket{})
}

// Resume makes a port like Port, which continues with the state of another port of the same socket: StateOf returns it. The port also owns
// the descriptors in h; after an error they are closed. Resume does not trust h, and names the wrong field in the error.
func (s Socket) Resume(c *vswitch.Counters, o Options, h handover.Socket) (vswitch.Port, error) {
	err := s.check()
	if err == nil {
		err = checkState(&h, s)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(s.FD), closeConnections(&h))
	}
	for _, fd := range append(connections(&h), s.FD) {
		unix.CloseOnExec(fd)
	}
	d, err := newDevice(s.FD)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("use fd:%d: %w", s.FD, err), closeConnections(&h))
	}
	switch {
	case s.Type != typeStream:
		return newDgramPort(d, c, s, h), nil
	case s.Listening:
		return newStreamPort(d, c, o, h)
	}
	return newConnectedPort(d, c, h), nil
}

// check compares the fields with what the kernel says. A datagram socket that was connected is no longer connected after it has sent to a
// peer that has closed.
func (s Socket) check() error {
	have, err := inspect(s.FD)
	if err != nil {
		return err
	}
	if err := have.checkPeer(); err != nil && !(s.Type == typeDgram && s.Connected) {
		return err
	}
	switch {
	case s.Type != have.Type:
		return fmt.Errorf("fd:%d: the type is %q; the kernel says %q", s.FD, s.Type, have.Type)
	case s.Listening != have.Listening:
		return fmt.Errorf("fd:%d: listening is %t; the kernel says %t", s.FD, s.Listening, have.Listening)
	case s.Connected != have.Connected && s.Type != typeDgram:
		return fmt.Errorf("fd:%d: connected is %t; the kernel says %t", s.FD, s.Connected, have.Connected)
	case s.Remote != "" && (s.Type != typeDgram || s.Connected):
		return fmt.Errorf("fd:%d: the remote is %q; want one only for a datagram socket that is not connected", s.FD, s.Remote)
	case s.Remote != "":
		return checkPath(s.Remote)
	}
	return nil
}

// A status is what the kernel says about a socket.
type status struct {
	Socket
	name address // to which it is bound; not usable if it is not bound
}

// inspect asks the kernel about a socket, without changing it. The error is a *missing.Error if fd is not a unix socket.
func inspect(fd int) (s status, err error) {
	s.FD = fd
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_UNIX {
		return s, unfit(fd, "not a unix socket", "a unix socket")
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

// nameOf returns the address to which a socket is bound. unix.Getsockname cannot distinguish an unbound socket from an abstract address.
func nameOf(fd int) (a address, err error) {
	a.len = uint32(unsafe.Sizeof(a.name))
	_, _, errno := unix.Syscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&a.name)), uintptr(unsafe.Pointer(&a.len)))
	if errno != 0 {
		return address{}, os.NewSyscallError("getsockname", errno)
	}
	return a, nil
}

// checkPeer returns a *missing.Error unless the socket has a peer or can get one.
func (s *status) checkPeer() error {
	switch {
	case s.Type == typeStream && !s.Connected && !s.Listening:
		return unfit(s.FD, "a unix stream socket that neither listens nor is connected", "a listening socket, or a connected one such as an end of a socketpair")
	case s.Type == typeDgram && !s.Connected && !s.name.usable():
		return unfit(s.FD, "a unix datagram socket that is neither bound nor connected", "a bound socket, or a connected one such as an end of a socketpair")
	case s.Type == typePacket && !s.Connected:
		return unfit(s.FD, "a unix seqpacket socket that is not connected", "a connected socket such as an end of a socketpair")
	}
	return nil
}
