package unixport

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

// A listenRelay is a relay of a listening stream, with the events of its ports.
type listenRelay struct {
	*relay
	*testPort
}

func newListenRelay(t *testing.T) listenRelay {
	t.Helper()
	p := newTestPort(t)
	s, file, err := Listen(p.path, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return listenRelay{newRelay(t, s, Options{
		Connected:    func() { p.events <- "connected" },
		Disconnected: func(err error) { p.events <- fmt.Sprint("disconnected: ", err) },
		Refused:      func(err error) { p.events <- fmt.Sprint("refused: ", err) },
	}), p}
}

// wantTold expects exactly these events.
func (l listenRelay) wantTold(want ...string) {
	l.testPort.t.Helper()
	for _, event := range want {
		l.wantEvent(event)
	}
	select {
	case event := <-l.events:
		l.testPort.t.Fatalf("event %q, want none", event)
	default:
	}
}

// awaitEnd receives the last frames of a peer, expects one event for its hang-up, and interrupts the port.
func (l listenRelay) awaitEnd(frames ...[]byte) {
	l.testPort.t.Helper()
	l.relay.receive(1, frames...)
	port := l.relay.Port
	done := make(chan error, 1)
	go func() {
		_, err := port.Receive(make([]vswitch.Frame, 1))
		done <- err
	}()
	l.wantEvent("disconnected: EOF")
	interrupt(port)
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		l.testPort.t.Fatal(err)
	}
}

// TestHandoverHangUp has a peer hang up before, during and after a handover: its frames are received, each event is reported once, and the
// next peer is accepted.
func TestHandoverHangUp(t *testing.T) {
	for moment := range 3 {
		l := newListenRelay(t)
		conn := l.dial()
		send(t, conn, framed(frame(60, 1), frame(60, 2), frame(60, 3)))
		l.relay.receive(1, frame(60, 1))
		l.wantTold("connected")
		send(t, conn, framed(frame(60, 4)))
		if moment == 0 {
			conn.Close()
		}
		rest := l.leave()
		if moment == 1 {
			conn.Close()
		}
		l.start(rest)
		conn.Close()
		l.awaitEnd(frame(60, 2), frame(60, 3), frame(60, 4))
		l.wantTold()
		l.handOver()
		if l.rest.Connection != 0 {
			t.Error("a connection that has ended was handed over")
		}
		conn = l.dial()
		send(t, conn, framed(frame(60, 5)))
		l.relay.receive(1, frame(60, 5))
		l.wantTold("connected")
	}
}

// TestHandoverBacklog: an interrupted port accepts no connection, and the next port accepts it.
func TestHandoverBacklog(t *testing.T) {
	l := newListenRelay(t)
	interrupt(l.relay.Port)
	conn := l.dial()
	send(t, conn, framed(frame(60, 1)))
	rest := l.leave()
	if rest.Connection != 0 {
		t.Error("an interrupted port has accepted a connection")
	}
	l.start(rest)
	l.relay.receive(1, frame(60, 1))
	l.wantTold("connected")
}

// TestHandoverAccepting interrupts a port while it accepts a connection, which must not be lost.
func TestHandoverAccepting(t *testing.T) {
	l := newListenRelay(t)
	for i := range 1500 {
		port := l.relay.Port
		interrupted := make(chan struct{})
		go func() {
			interrupt(port)
			close(interrupted)
		}()
		conn := l.dial()
		send(t, conn, framed(frame(60, i)))
		<-interrupted
		l.handOver()
		if _, err := conn.Write(framed(frame(60, i+1))); err != nil {
			t.Fatalf("round %d: the connection was lost: %v", i, err)
		}
		l.relay.receive(1, frame(60, i), frame(60, i+1))
		conn.Close()
		l.wantTold("connected")
		l.awaitEnd()
		l.handOver()
	}
}

// TestHandoverUnannounced hands over a connection for which Connected was not called yet.
func TestHandoverUnannounced(t *testing.T) {
	l := newListenRelay(t)
	conn := l.dial()
	awaitAccepted(t, l.path)
	l.handOver()
	l.wantTold()
	if l.rest.Connection == 0 {
		t.Error("no connection was handed over")
	}
	send(t, conn, framed(frame(60, 1)))
	l.relay.receive(1, frame(60, 1))
	l.wantTold("connected")
}

// TestHandoverNext hands over a peer that has hung up and whose frames are not received yet, the next peer, and one in the backlog.
func TestHandoverNext(t *testing.T) {
	l := newListenRelay(t)
	first := l.dial()
	send(t, first, framed(frame(60, 1), frame(60, 2), frame(60, 3)))
	l.relay.receive(1, frame(60, 1))
	l.wantTold("connected")
	first.Close()
	second := l.dial()
	awaitAccepted(t, l.path)
	send(t, second, framed(frame(60, 4)))
	second.Close()
	third := l.dial()
	send(t, third, framed(frame(60, 5)))
	for range 2 {
		l.handOver()
		if l.rest.Connection == 0 || l.rest.Next == 0 {
			t.Fatalf("%d and %d were handed over, want two connections", l.rest.Connection, l.rest.Next)
		}
	}
	l.relay.receive(1, frame(60, 2), frame(60, 3))
	l.wantTold()
	l.relay.receive(1, frame(60, 4))
	l.wantTold("disconnected: EOF", "connected")
	l.handOver()
	l.relay.receive(1, frame(60, 5))
	l.wantTold("disconnected: EOF", "connected")
}
