package control

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/unixsocket"
)

// maxConns bounds the connections at once: a person, a probe, a collector of metrics, each with a few.
const maxConns = 16

// lifetime is how long a connection may last. Whoever asks is on the same machine.
const lifetime = 2 * time.Second

// guard lets in whom the server may talk to, and ends what takes too much. It makes no system calls but those of accepting,
// getsockopt, and what any file takes.
type guard struct {
	net.Listener
	log    *zap.Logger
	places chan struct{}
}

func newGuard(l net.Listener, log *zap.Logger) *guard {
	return &guard{Listener: l, log: log, places: make(chan struct{}, maxConns)}
}

// Accept implements net.Listener: it returns the next connection that is let in, and closes the others.
func (g *guard) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := known(c); err != nil {
			g.log.Warn("refused a connection to the control socket", zap.Error(err))
			_ = c.Close()
			continue
		}
		select {
		case g.places <- struct{}{}:
			return g.admit(c), nil
		default:
			g.log.Warn("too many connections to the control socket: refused one")
			_ = c.Close()
		}
	}
}

// admit gives c its place and its end.
func (g *guard) admit(c net.Conn) net.Conn {
	b := &bounded{Conn: c, end: time.Now().Add(lifetime), leave: sync.OnceFunc(func() { <-g.places })}
	_ = b.SetDeadline(time.Time{})
	return b
}

// known tells whether the peer is root, or the process's own user.
func known(c net.Conn) error {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return fmt.Errorf("connection of type %T: want one of a unix socket", c)
	}
	peer, err := unixsocket.Peer(socket)
	if err != nil {
		return err
	}
	if uid := int(peer.Uid); uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("from the user %d: want root or the user %d", uid, os.Geteuid())
	}
	return nil
}

// bounded is a connection that ends when its time has come, whatever deadlines are set on it.
type bounded struct {
	net.Conn
	end   time.Time
	leave func()
}

// sooner returns t, but at most the end; zero is the end too.
func (b *bounded) sooner(t time.Time) time.Time {
	if t.IsZero() || t.After(b.end) {
		return b.end
	}
	return t
}

// SetDeadline implements net.Conn.
func (b *bounded) SetDeadline(t time.Time) error { return b.Conn.SetDeadline(b.sooner(t)) }

// SetReadDeadline implements net.Conn.
func (b *bounded) SetReadDeadline(t time.Time) error { return b.Conn.SetReadDeadline(b.sooner(t)) }

// SetWriteDeadline implements net.Conn.
func (b *bounded) SetWriteDeadline(t time.Time) error { return b.Conn.SetWriteDeadline(b.sooner(t)) }

// Close implements net.Conn, and gives the place back.
func (b *bounded) Close() error {
	defer b.leave()
	return b.Conn.Close()
}
