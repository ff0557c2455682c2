package stack

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"go.uber.org/zap"
)

// Kept ports: a connection to the endpoint's address continues as another one to a target in the pod, which whoever
// keeps the port dials: this package opens no sockets of the kernel. Bytes pass both ways until both ends have said that they are done; an end that is reset resets the other.

// maxConns bounds the connections of one kept port.
const maxConns = 256

// roomyConns is how many connections of a kept port may have large buffers: a bulk transfer is one of a few, and what comes by the
// hundred is probes, or hostile.
const roomyConns = 16

// dialTimeout is how long a target may take to accept.
const dialTimeout = 5 * time.Second

// Sizes in bytes of the buffer of one direction: what a segment to be cut later can hold, and that of a connection in a crowd.
const (
	copySize      = 64 << 10
	crowdCopySize = 8 << 10
)

// A Target is the other end of a kept connection. A *net.TCPConn is one.
type Target interface {
	net.Conn
	// CloseWrite says that nothing more will be written; reads go on.
	CloseWrite() error
	// SetLinger(0) makes Close send RST (tcp(7), socket(7): SO_LINGER).
	SetLinger(seconds int) error
}

// KeepTCP passes connections to the endpoint's port on to those that dial returns, which have to be a Target: at most 256 at once,
// more are refused. When dial fails, the port refuses. Dial is called on a goroutine for each connection, 256 at once at
// most, has five seconds, and returns soon after its context ends; what it returns belongs to the endpoint. KeepTCP returns an
// error when the port is 0 or served already or dial is nil, and net.ErrClosed after Close.
func (e *Endpoint) KeepTCP(port uint16, dial func(ctx context.Context) (net.Conn, error)) error {
	if port == 0 || dial == nil {
		return fmt.Errorf("keep tcp/%d: want a port from 1 to 65535 and a function that dials", port)
	}
	k := &kept{endpoint: e, port: port, dial: dial}
	if err := e.serveTCP(port, limits{conns: maxConns, roomy: roomyConns}, k.passOn); err != nil {
		return fmt.Errorf("keep tcp/%d: %w", port, err)
	}
	return nil
}

// kept is a kept port.
type kept struct {
	endpoint *Endpoint
	port     uint16
	dial     func(ctx context.Context) (net.Conn, error)
}

// passOn serves one connection.
func (k *kept) passOn(accept func() (*conn, error)) {
	e := k.endpoint
	inside, err := k.connect()
	if err != nil {
		if e.ctx.Err() == nil {
			e.log.Warn("a kept port's target does not accept", zap.Uint16("port", k.port), zap.Error(err))
		}
		return
	}
	defer inside.Close()
	outside, err := accept()
	if err != nil {
		inside.reset()
		return
	}
	defer outside.Close()
	splice(e.ctx, outside, inside, outside.copySize)
}

// connect dials the target.
func (k *kept) connect() (*inside, error) {
	ctx, cancel := context.WithTimeout(k.endpoint.ctx, dialTimeout)
	defer cancel()
	dialled, err := k.dial(ctx)
	if err != nil {
		return nil, err
	}
	target, ok := dialled.(Target)
	if !ok {
		_ = dialled.Close()
		return nil, fmt.Errorf("connection of type %T: want one that closes each direction on its own, as TCP does", dialled)
	}
	return &inside{target}, nil
}

// inside is the target's end of a kept connection.
type inside struct{ Target }

// reset makes the connection end with RST.
func (c *inside) reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// stream is an end of a kept connection.
type stream interface {
	io.ReadWriter
	CloseWrite() error
	reset()
}

// splice copies both ways, through buffers of size bytes, until both directions have ended, or one fails, or ctx ends; in the last two cases it resets
// both ends. The caller closes them.
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

// pump copies from src to dst until src ends, and then ends dst. The structs hide ReadFrom and WriteTo, which would copy
// through smaller buffers.
func pump(dst, src stream, size int) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, size))
	if err != nil {
		return err
	}
	return dst.CloseWrite()
}
