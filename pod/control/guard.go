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

// maxConns bounds the connections at a time: an operator, a health check and a metrics collector, with a few each.
const maxConns = 16

// lifetime bounds a connection. Its client is on the same machine.
const lifetime = 2 * time.Second

// A guard is a listener that accepts only permitted clients, bounds their connections, and ends each after its lifetime. Its system
// calls are those of any socket, and getsockopt(2).
type guard struct {
	net.Listener
	owner int // user that may connect besides root and this process's own
	log   *zap.Logger
	slots chan struct{} // one value for each connection
}

func newGuard(l net.Listener, owner int, log *zap.Logger) *guard {
	return &guard{Listener: l, owner: owner, log: log, slots: make(chan struct{}, maxConns)}
}

// Accept implements net.Listener. It closes the connections that are not permitted, and those beyond maxConns.
func (g *guard) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := g.checkPeer(c); err != nil {
			g.log.Warn("control connection refused", zap.Error(err))
			_ = c.Close()
			continue
		}
		select {
		case g.slots <- struct{}{}:
			return g.bound(c), nil
		default:
			g.log.Warn("control connection refused: too many")
			_ = c.Close()
		}
	}
}

// bound limits the lifetime of c, which has a slot.
func (g *guard) bound(c net.Conn) net.Conn {
	b := &boundedConn{Conn: c, end: time.Now().Add(lifetime), release: sync.OnceFunc(func() { <-g.slots })}
	_ = b.SetDeadline(time.Time{})
	return b
}

// checkPeer returns an error unless the client runs as root, as the user of this process or as the owner.
func (g *guard) checkPeer(c net.Conn) error {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return fmt.Errorf("connection of type %T: want a unix socket", c)
	}
	peer, err := unixsocket.Peer(socket)
	if err != nil {
		return err
	}
	if uid := int(peer.Uid); uid != 0 && uid != os.Geteuid() && uid != g.owner {
		return fmt.Errorf("client of user %d: want root or user %d", uid, max(g.owner, os.Geteuid()))
	}
	return nil
}

// A boundedConn is a connection whose deadlines are never after its end.
type boundedConn struct {
	net.Conn
	end     time.Time
	release func() // of its slot
}

// deadline returns t, or the end if t is later or zero, which means no deadline.
func (b *boundedConn) deadline(t time.Time) time.Time {
	if t.IsZero() || t.After(b.end) {
		return b.end
	}
	return t
}

// SetDeadline implements net.Conn.
func (b *boundedConn) SetDeadline(t time.Time) error { return b.Conn.SetDeadline(b.deadline(t)) }

// SetReadDeadline implements net.Conn.
func (b *boundedConn) SetReadDeadline(t time.Time) error {
	return b.Conn.SetReadDeadline(b.deadline(t))
}

// SetWriteDeadline implements net.Conn.
func (b *boundedConn) SetWriteDeadline(t time.Time) error {
	return b.Conn.SetWriteDeadline(b.deadline(t))
}

// Close implements net.Conn, and releases the slot.
func (b *boundedConn) Close() error {
	defer b.release()
	return b.Conn.Close()
}
