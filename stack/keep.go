package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// Kept ports. With TCP the endpoint dials a target through the caller's function, accepts the peer's connection, and copies bytes both ways.
// A FIN of one end passes to the other; a reset of one end resets the other. flows.go has UDP.

// maxConns bounds the connections of one kept port.
const maxConns = 256

// largeBufferConns bounds the connections of a kept port with large buffers. Bulk transfers are few at a time; connections by the hundred
// are health checks or hostile.
const largeBufferConns = 16

// dialTimeout bounds the time for the target to accept.
const dialTimeout = 5 * time.Second

// Sizes in bytes of the copy buffer of one direction: the largest segment before segmentation, and for a connection beyond
// largeBufferConns.
const (
	copySize        = 64 << 10
	reducedCopySize = 8 << 10
)

// A Target is the other end of a kept connection. *net.TCPConn implements it.
type Target interface {
	net.Conn
	// CloseWrite ends writing and leaves reading open, as shutdown(2) with SHUT_WR does.
	CloseWrite() error
	// SetLinger(0) makes Close send RST (tcp(7), socket(7): SO_LINGER).
	SetLinger(seconds int) error
}

// A Dial returns a connection to the target of a kept port for a client on the wire: a Target with TCP; with UDP a connected socket, which
// preserves message boundaries and receives only datagrams of the target. It must return soon after its context is done.
type Dial func(ctx context.Context, client netip.AddrPort) (net.Conn, error)

// A KeptPort is a port of the endpoint whose connections or datagrams continue at a target.
type KeptPort struct {
	Network string // "tcp" or "udp"
	Port    uint16 // not 0
	Dial    Dial   // required

	// Proxy writes a header of the PROXY protocol, version 2, at the start of each connection, and of each datagram: the target learns the
	// address and port of the client, and must expect the header.
	Proxy bool
}

// Keep serves a kept port until Close.
//
// TCP: each connection continues at one that Dial returns. At most 256 are served at a time, 192 of one source address, and more are
// refused. Dial is called before the connection is accepted, on a goroutine for each connection, and has five seconds; while many
// handshakes are unfinished, it is called afterwards. If it fails, or the connection is not a Target, the peer's connection is refused.
// A connection whose target has ended writing is reset when the peer sends nothing for a minute.
//
// UDP: the datagrams of each client continue at a connection that Dial returns, and its answers return to the client, until the client has
// sent nothing for two minutes. At most 256 clients are served at a time, 192 of one source address, and then the one that was idle
// for the longest makes room. A client that has not sent again after an answer gets at most 32 answers, because its source address may be
// false. If the target refuses datagrams, the client gets ICMP port unreachable.
//
// The connections that Dial returns belong to the endpoint. Keep returns at once: an error if k is invalid or the port is served already,
// and net.ErrClosed after Close.
func (e *Endpoint) Keep(k KeptPort) error {
	p := &keptPort{endpoint: e, KeptPort: k}
	var err error
	switch {
	case k.Network != "tcp" && k.Network != "udp", k.Port == 0, k.Dial == nil:
		err = errors.New(`want "tcp" or "udp", a port from 1 to 65535 and a dial function`)
	case k.Network == "tcp":
		err = e.serveTCP(k.Port, limits{conns: maxConns, largeBuffers: largeBufferConns, isShared: true}, p.relay)
	default:
		for _, a := range e.cfg.addresses() {
			local := netip.AddrPortFrom(a, k.Port)
			err = errors.Join(err, e.serveUDP(full(local), newFlows(p, local).read))
		}
	}
	if err != nil {
		return fmt.Errorf("keep %s/%d: %w", k.Network, k.Port, err)
	}
	return nil
}

// A keptPort relays the connections or datagrams of one port.
type keptPort struct {
	KeptPort
	endpoint *Endpoint
}

// relay is a service. It dials before it accepts, or afterwards if the attempt is not eager.
func (k *keptPort) relay(t *attempt) {
	var peer *conn
	if !t.isEager {
		var err error
		if peer, err = t.accept(); err != nil {
			return
		}
		defer peer.Close()
	}
	target, err := k.connect(t)
	if err != nil {
		if t.ctx.Err() == nil {
			k.endpoint.log.Warn("kept port: dial failed", zap.Uint16("port", k.Port), zap.Error(err))
		}
		if peer != nil {
			peer.reset()
		}
		return
	}
	defer target.Close()
	if peer == nil {
		if peer, err = t.accept(); err != nil {
			target.reset()
			return
		}
		defer peer.Close()
	}
	k.splice(peer, target)
}

// connect dials the target, and writes the PROXY header.
func (k *keptPort) connect(t *attempt) (*targetConn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, dialTimeout)
	defer cancel()
	dialled, err := k.Dial(ctx, peerOf(t.id))
	if err != nil {
		return nil, err
	}
	target, ok := dialled.(Target)
	if !ok {
		_ = dialled.Close()
		return nil, fmt.Errorf("connection of type %T: want a stack.Target, such as *net.TCPConn", dialled)
	}
	if k.Proxy {
		if _, err := target.Write(proxyHeader(proxyTCP, peerOf(t.id), addrPortOf(t.id.LocalAddress, t.id.LocalPort))); err != nil { // does not block: the send buffer is empty
			_ = target.Close()
			return nil, fmt.Errorf("write the PROXY header: %w", err)
		}
	}
	return &targetConn{target}, nil
}

// A targetConn is the target's end of a kept connection.
type targetConn struct{ Target }

// reset closes the connection with RST.
func (tc *targetConn) reset() {
	_ = tc.SetLinger(0)
	_ = tc.Close()
}

// splice copies both ways until both directions have ended. It resets both ends if one direction fails, if the endpoint closes, or if
// one direction has ended and nothing arrives in the other one for too long (idle.go). The caller closes them.
func (k *keptPort) splice(peer *conn, target *targetConn) {
	reset := func() {
		peer.reset()
		target.reset()
	}
	stop := context.AfterFunc(k.endpoint.ctx, reset)
	defer stop()
	fromPeer, fromTarget := &countingReader{Reader: peer}, &countingReader{Reader: target}
	peerEnded, targetEnded := make(chan error, 1), make(chan error, 1)
	go func() { peerEnded <- pump(target, fromPeer, peer.copySize) }()
	go func() { targetEnded <- pump(peer, fromTarget, peer.copySize) }()
	var err error
	clock, limit, reader, rest := k.endpoint.stack.Clock(), maxTargetIdle, fromTarget, targetEnded
	select {
	case err = <-peerEnded:
	case err = <-targetEnded:
		limit, reader, rest = maxPeerIdle, fromPeer, peerEnded
	}
	idle := newIdleLimit(clock, limit, reader, reset)
	defer idle.stop()
	if err != nil {
		reset()
	}
	if err := <-rest; err != nil {
		reset()
	}
}

// A sink is where pump writes.
type sink interface {
	io.Writer
	CloseWrite() error
}

// pump copies from src to dst until the end of src, and then ends writing to dst. The struct hides ReadFrom, which would use smaller
// buffers.
func pump(dst sink, src *countingReader, size int) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, src, make([]byte, size))
	if err != nil {
		return err
	}
	return dst.CloseWrite()
}
