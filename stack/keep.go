package stack

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"go.uber.org/zap"
)

// Kept ports. The endpoint dials a target through the caller's function, accepts the peer's connection, and copies bytes both ways. A FIN
// of one end passes to the other; a reset of one end resets the other.

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

// KeepTCP connects each TCP connection to the endpoint's port with one that dial returns, until Close. It serves at most 256 connections
// at a time and refuses more. Dial is called before the connection is accepted, on a goroutine for each connection, and has five
// seconds; it must return soon after its context is done. If it fails, or the connection is not a Target, the peer's connection is
// refused. The connection that it returns belongs to the endpoint. KeepTCP returns at once: an error if the port is 0 or served already
// or dial is nil, and net.ErrClosed after Close.
func (e *Endpoint) KeepTCP(port uint16, dial func(ctx context.Context) (net.Conn, error)) error {
	if port == 0 || dial == nil {
		return fmt.Errorf("keep tcp/%d: want a port from 1 to 65535 and a dial function", port)
	}
	k := &keptPort{endpoint: e, port: port, dial: dial}
	if err := e.serveTCP(port, limits{conns: maxConns, largeBuffers: largeBufferConns}, k.relay); err != nil {
		return fmt.Errorf("keep tcp/%d: %w", port, err)
	}
	return nil
}

// A keptPort relays the connections of one port.
type keptPort struct {
	endpoint *Endpoint
	port     uint16
	dial     func(ctx context.Context) (net.Conn, error)
}

// relay is a service.
func (k *keptPort) relay(accept func() (*conn, error)) {
	e := k.endpoint
	target, err := k.connect()
	if err != nil {
		if e.ctx.Err() == nil {
			e.log.Warn("kept port: dial failed", zap.Uint16("port", k.port), zap.Error(err))
		}
		return
	}
	defer target.Close()
	peer, err := accept()
	if err != nil {
		target.reset()
		return
	}
	defer peer.Close()
	splice(e.ctx, peer, target, peer.copySize)
}

// connect dials the target.
func (k *keptPort) connect() (*targetConn, error) {
	ctx, cancel := context.WithTimeout(k.endpoint.ctx, dialTimeout)
	defer cancel()
	dialled, err := k.dial(ctx)
	if err != nil {
		return nil, err
	}
	target, ok := dialled.(Target)
	if !ok {
		_ = dialled.Close()
		return nil, fmt.Errorf("connection of type %T: want a stack.Target, such as *net.TCPConn", dialled)
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

// A stream is an end of a kept connection.
type stream interface {
	io.ReadWriter
	CloseWrite() error
	reset()
}

// splice copies both ways through buffers of size bytes until both directions have ended. It resets both ends if one direction fails or
// ctx is done. The caller closes them.
func splice(ctx context.Context, a, b stream, size int) {
	reset := func() {
		a.reset()
		b.reset()
	}
	stop := context.AfterFunc(ctx, reset)
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- pump(a, b, size) }()
	go func() { ended <- pump(b, a, size) }()
	for range 2 {
		if err := <-ended; err != nil {
			reset()
		}
	}
}

// pump copies from src to dst until the end of src, and then ends writing to dst. The structs hide ReadFrom and WriteTo, which would use
// smaller buffers.
func pump(dst, src stream, size int) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, size))
	if err != nil {
		return err
	}
	return dst.CloseWrite()
}
