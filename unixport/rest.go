package unixport

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/vswitch"
)

// A Rest is what a port had in hand when it was interrupted, for the port that goes on in its place; the zero value is nothing. It
// travels as JSON, and its descriptors by SCM_RIGHTS (unix(7)): 0 is none of them, because the Go runtime keeps the first three open.
type Rest struct {
	Received  []byte `json:"received,omitempty"`  // read from a stream and not delivered: whole frames, and the begin of one
	Unsent    []byte `json:"unsent,omitempty"`    // the end, behind what a stream's peer has already, of a frame and its length
	Begun     int    `json:"begun,omitempty"`     // length of that frame in bytes
	Peer      []byte `json:"peer,omitempty"`      // of a datagram socket, who sent last: what stands in sun_path (unix(7))
	Announced bool   `json:"announced,omitempty"` // Options.Connected was told of the connection

	Connection int `json:"-"` // of a listening socket: the peer's
	Next       int `json:"-"` // and that of a peer which came when the first had gone, and whose turn is when that one's frames are received
}

// A leaver is a port that can say what it has in hand.
type leaver interface {
	leave() (Rest, bool)
}

// RestOf returns what a port has in hand after its Interrupt, when no Receive and no Transmit runs any more. From then on the port
// sends nothing; it is still to be closed. The descriptors are the port's and open until then: pass them on before. It reports
// false for a port that was not interrupted or is closed, and for one that is not of this package; a port that wraps another one
// has a method Unwrap() vswitch.Port.
func RestOf(p vswitch.Port) (Rest, bool) {
	for {
		switch inner := p.(type) {
		case leaver:
			return inner.leave()
		case interface{ Unwrap() vswitch.Port }:
			p = inner.Unwrap()
		default:
			return Rest{}, false
		}
	}
}

// check tells whether a port of the socket can go on with the rest, which may be of somebody who means harm.
func (r *Rest) check(s Socket) error {
	if s.Type != typeStream {
		return r.checkDatagrams(s)
	}
	unsent := prefixLen + r.Begun
	switch {
	case len(r.Peer) > 0:
		return errors.New("the rest of a stream has a datagram peer; want none")
	case r.Connection != 0 && !s.Listening:
		return errors.New("the rest of a connected stream has a connection; want none")
	case r.Next != 0 && r.Connection == 0:
		return errors.New("the rest of a stream has a next connection without a first one; want both or none")
	case s.Listening && r.Connection == 0 && (len(r.Received) > 0 || len(r.Unsent) > 0 || r.Announced):
		return errors.New("the rest of a listening stream has bytes of no connection; want none")
	case len(r.Received) > streamBuffer:
		return fmt.Errorf("the rest of a stream has %d received bytes; want at most %d", len(r.Received), streamBuffer)
	case r.Begun < 0 || r.Begun > vswitch.MaxFrame:
		return fmt.Errorf("the rest of a stream has begun a frame of %d bytes; want at most %d", r.Begun, vswitch.MaxFrame)
	case len(r.Unsent) == 0 && r.Begun != 0:
		return fmt.Errorf("the rest of a stream has begun a frame of %d bytes and nothing of it left; want its end", r.Begun)
	case len(r.Unsent) >= unsent:
		return fmt.Errorf("the rest of a stream has %d unsent bytes of a frame of %d; want fewer than %d", len(r.Unsent), r.Begun, unsent)
	}
	for _, fd := range r.descriptors() {
		if err := checkConnection(fd, s.FD); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rest) checkDatagrams(s Socket) error {
	switch {
	case len(r.Received) > 0 || len(r.Unsent) > 0 || r.Begun != 0 || r.Announced || r.Connection != 0 || r.Next != 0:
		return errors.New("the rest of a datagram socket has something of a stream; want a peer alone")
	case len(r.Peer) > 0 && (s.Connected || s.Remote != ""):
		return errors.New("the rest of a datagram socket with a fixed peer has another one; want none")
	case len(r.Peer) > unixsocket.MaxPath+1:
		return fmt.Errorf("the rest of a datagram socket has a peer's path of %d bytes; want at most %d", len(r.Peer), unixsocket.MaxPath+1)
	}
	return nil
}

// checkConnection wants a stream that was accepted from the listening socket: such a one has its name (unix(7)).
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
		return unfit(fd, "no connection to the listening socket", "one that was accepted from it")
	}
	return nil
}

// descriptors are those that are there.
func (r *Rest) descriptors() (fds []int) {
	for _, fd := range []int{r.Connection, r.Next} {
		if fd != 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

func (r *Rest) close() (err error) {
	for _, fd := range r.descriptors() {
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}
