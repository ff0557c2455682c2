package unixport

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// A stateful is a port whose state another port can resume.
type stateful interface {
	// state returns what StateOf returns.
	state() (handover.Socket, bool)
}

// StateOf returns the state of an interrupted port, for Socket.Resume in another process. Call it after Interrupt, when Receive has
// returned and no Transmit runs; the port sends nothing afterwards. The descriptors in the state belong to the port, which is still to be
// closed: pass them on before Close.
//
// StateOf reports false for a port that was not interrupted or is closed, and for a port of another package. It looks through ports that
// have a method Unwrap() vswitch.Port.
func StateOf(p vswitch.Port) (handover.Socket, bool) {
	for {
		switch inner := p.(type) {
		case stateful:
			return inner.state()
		case interface{ Unwrap() vswitch.Port }:
			p = inner.Unwrap()
		default:
			return handover.Socket{}, false
		}
	}
}

// checkState returns an error if a port of the socket cannot resume the state. The state is not trusted: its sender may be compromised.
func checkState(h *handover.Socket, s Socket) error {
	if s.Type != typeStream {
		return checkDatagramState(h, s)
	}
	whole := prefixLen + h.Begun
	switch {
	case len(h.Peer) > 0:
		return errors.New("the state of a stream has a datagram peer; want none")
	case h.Connection != 0 && !s.Listening:
		return errors.New("the state of a connected stream has a connection; want none")
	case h.Next != 0 && h.Connection == 0:
		return errors.New("the state of a stream has a next connection without a first one; want both or none")
	case s.Listening && h.Connection == 0 && (len(h.Received) > 0 || len(h.Unsent) > 0 || h.Announced):
		return errors.New("the state of a listening stream has bytes of no connection; want none")
	case len(h.Received) > streamBuffer:
		return fmt.Errorf("the state of a stream has %d received bytes; want at most %d", len(h.Received), streamBuffer)
	case h.Begun < 0 || h.Begun > vswitch.MaxFrame:
		return fmt.Errorf("the state of a stream has begun a frame of %d bytes; want at most %d", h.Begun, vswitch.MaxFrame)
	case len(h.Unsent) == 0 && h.Begun != 0:
		return fmt.Errorf("the state of a stream has begun a frame of %d bytes and no unsent bytes of it; want its end", h.Begun)
	case len(h.Unsent) >= whole:
		return fmt.Errorf("the state of a stream has %d unsent bytes of a frame of %d; want fewer than %d", len(h.Unsent), h.Begun, whole)
	}
	for _, fd := range connections(h) {
		if err := checkConnection(fd, s.FD); err != nil {
			return err
		}
	}
	return nil
}

func checkDatagramState(h *handover.Socket, s Socket) error {
	switch {
	case len(h.Received) > 0 || len(h.Unsent) > 0 || h.Begun != 0 || h.Announced || h.Connection != 0 || h.Next != 0:
		return errors.New("the state of a datagram socket has fields of a stream; want a peer alone")
	case len(h.Peer) > 0 && (s.Connected || s.Remote != ""):
		return errors.New("the state of a datagram socket with a fixed peer has another peer; want none")
	case len(h.Peer) > unixsocket.MaxPath+1:
		return fmt.Errorf("the state of a datagram socket has a peer's path of %d bytes; want at most %d", len(h.Peer), unixsocket.MaxPath+1)
	}
	return nil
}

// checkConnection returns an error unless fd is a stream that was accepted from the listening socket: such a socket has the listening
// socket's name (unix(7)).
func checkConnection(fd, listener int) error {
	have, err := inspect(fd)
	if err != nil {
		return err
	}
	name, err := nameOf(listener)
	if err != nil {
		return err
	}
	if have.Type != typeStream || !have.Connected || !have.name.equal(&name) {
		return unfit(fd, "not a connection to the listening socket", "a connection that was accepted from it")
	}
	return nil
}

// connections returns the descriptors that h has.
func connections(h *handover.Socket) (fds []int) {
	for _, fd := range []int{h.Connection, h.Next} {
		if fd != 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

func closeConnections(h *handover.Socket) (err error) {
	for _, fd := range connections(h) {
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}
