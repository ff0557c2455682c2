package unixport

import (
	"errors"
	"net"
	"runtime"
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

var _ = []vswitch.Interrupter{(*streamPort)(nil), (*connectedPort)(nil), (*dgramPort)(nil)}

// TestInterrupt: Interrupt ends a Receive that waits, and Transmit keeps working, for each kind of port; StateOf works only between
// Interrupt and Close.
func TestInterrupt(t *testing.T) {
	for _, kind := range loads {
		t.Run(kind, func(t *testing.T) {
			l := newLoad(t, kind, 60)
			if _, ok := StateOf(l.port); ok {
				t.Error("a port that was not interrupted tells its rest")
			}
			end := make(chan error, 1)
			go func() {
				_, err := l.port.Receive(l.batch)
				end <- err
			}()
			for range 2 {
				interrupt(l.port)
			}
			if err := <-end; !errors.Is(err, net.ErrClosed) {
				t.Errorf("the waiting Receive returned %v", err)
			}
			send(t, l.peer, framed(frame(60, 1)))
			if n, err := l.port.Receive(l.batch); n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("%d frames and %v after Interrupt", n, err)
			}
			l.port.Transmit(l.out[:1])
			if n, err := l.peer.Read(l.room); n < 60 {
				t.Errorf("%d bytes and %v after Interrupt", n, err)
			}
			if _, ok := StateOf(l.port); !ok {
				t.Error("an interrupted port does not tell its rest")
			}
			if err := l.port.Close(); err != nil {
				t.Error(err)
			}
			interrupt(l.port)
			if _, ok := StateOf(l.port); ok {
				t.Error("a closed port tells its rest")
			}
		})
	}
	if _, ok := StateOf(nil); ok {
		t.Error("no port has a rest")
	}
}

// TestInterruptWaiting interrupts a Receive at any point of its wait: the connection stays open.
func TestInterruptWaiting(t *testing.T) {
	for name, open := range streamRelays {
		r, conn := open(t)
		for i := range 200 {
			port, received, end := r.Port, make(chan struct{}, 1), make(chan error, 1)
			go func() {
				room := make([]vswitch.Frame, 1)
				_, err := port.Receive(room)
				for received <- struct{}{}; err == nil; {
					_, err = port.Receive(room)
				}
				end <- err
			}()
			send(t, conn, framed(frame(60, i)))
			<-received
			for range i {
				runtime.Gosched()
			}
			interrupt(port)
			if err := <-end; !errors.Is(err, net.ErrClosed) {
				t.Fatalf("%s, round %d: the waiting Receive returned %v", name, i, err)
			}
			r.handOver()
			r.Transmit([]vswitch.Frame{{Data: frame(60, i)}})
			if f, err := readFrame(conn); err != nil || len(f) != 60 {
				t.Fatalf("%s, round %d: read %d bytes, %v", name, i, len(f), err)
			}
		}
	}
}
