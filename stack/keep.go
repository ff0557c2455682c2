package stack

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// Kept ports: a connection to the endpoint's address continues as one of this process to a target in the pod. Bytes pass
// both ways until both ends have said that they are done; an end that is reset resets the other.

// maxConns bounds the connections of one kept port.
const maxConns = 256

// dialTimeout is how long a target may take to accept.
const dialTimeout = 5 * time.Second

// copySize is the size in bytes of the buffer of one direction: what a segment to be cut later can hold.
const copySize = 64 << 10

// KeepTCP passes connections to the endpoint's port on to target ("host:port"), which is dialled from the process's own
// network namespace: at most 256 at once, more are refused. A target that does not accept makes the port refuse. It
// returns an error when the port is served already or target is not understood, and net.ErrClosed after Close.
func (e *Endpoint) KeepTCP(port uint16, target string) error {
	if err := checkTarget(port, target); err != nil {
		return err
	}
	err := e.serveTCP(port, maxConns, func(accept func() (*conn, error)) { e.passOn(target, accept) })
	if err != nil {
		return fmt.Errorf("keep tcp/%d: %w", port, err)
	}
	return nil
}

// checkTarget says what is wrong with a port or its target.
func checkTarget(port uint16, target string) error {
	if port == 0 {
		return fmt.Errorf("keep tcp/0: want a port from 1 to 65535")
	}
	host, service, err := net.SplitHostPort(target)
	if err != nil {
		return fmt.Errorf("keep tcp/%d: target %q: want HOST:PORT: %w", port, target, err)
	}
	if n, err := strconv.ParseUint(service, 10, 16); err != nil || n == 0 || host == "" {
		return fmt.Errorf("keep tcp/%d: target %q: want HOST:PORT with a port from 1 to 65535", port, target)
	}
	return nil
}

// passOn serves one connection of a kept port.
func (e *Endpoint) passOn(target string, accept func() (*conn, error)) {
	dialer := net.Dialer{Timeout: dialTimeout}
	dialled, err := dialer.DialContext(e.ctx, "tcp", target)
	if err != nil {
		if e.ctx.Err() == nil {
			e.log.Warn("a kept port's target does not accept", zap.String("target", target), zap.Error(err))
		}
		return
	}
	defer dialled.Close()
	inside := &osConn{dialled.(*net.TCPConn)}
	outside, err := accept()
	if err != nil {
		inside.reset()
		return
	}
	defer outside.Close()
	splice(e.ctx, outside, inside)
}

// osConn is a connection of the process.
type osConn struct{ *net.TCPConn }

// reset makes the connection end with RST.
func (c *osConn) reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// stream is an end of a kept connection.
type stream interface {
	io.ReadWriter
	CloseWrite() error
	reset()
}

// splice copies both ways until both directions have ended, or one fails, or ctx ends; in the last two cases it resets
// both ends. The caller closes them.
func splice(ctx context.Context, a, b stream) {
	reset := func() {
		a.reset()
		b.reset()
	}
	stop := context.AfterFunc(ctx, reset)
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- pump(a, b) }()
	go func() { ended <- pump(b, a) }()
	for range 2 {
		if err := <-ended; err != nil {
			reset()
		}
	}
}

// pump copies from src to dst until src ends, and then ends dst. The structs hide ReadFrom and WriteTo, which would copy
// through smaller buffers.
func pump(dst, src stream) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, copySize))
	if err != nil {
		return err
	}
	return dst.CloseWrite()
}
