package stack

import (
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Serving TCP ports. There are no listening sockets. A SYN to a served port becomes a request on a goroutine of its own, and the service
// accepts or refuses it: a kept port refuses the connection if its target does, so a health check that only connects gets the right
// result.
//
//	SYN ─▶ ports.handle ─▶ tcp.Forwarder (bounds attempts) ─▶ acceptor.handle (bounds connections)
//	                                                            │ refused: RST
//	                                                            └ accepted: SYN-ACK, ACK ─▶ service ─▶ closing.go
//
// Netstack resets a SYN to any other port.

// handshakeTimeout bounds the handshake, on the stack's clock.
const handshakeTimeout = 10 * time.Second

// Keepalive of accepted connections: the connection of a peer that disappeared ends after two minutes at most.
const (
	keepaliveIdle     = tcpip.KeepaliveIdleOption(60 * time.Second)
	keepaliveInterval = tcpip.KeepaliveIntervalOption(15 * time.Second)
	keepaliveCount    = 4
)

// ports are the served TCP ports. The zero value serves none.
type ports struct {
	mu     sync.RWMutex
	byPort map[uint16]*tcp.Forwarder
}

// handle is netstack's handler of TCP segments that belong to no connection. Netstack resets those that it returns false for.
func (p *ports) handle(id netstack.TransportEndpointID, pkt *netstack.PacketBuffer) bool {
	p.mu.RLock()
	forwarder := p.byPort[id.LocalPort]
	p.mu.RUnlock()
	return forwarder != nil && forwarder.HandlePacket(id, pkt)
}

// add serves a port. It returns an error if the port is served already.
func (p *ports) add(port uint16, forwarder *tcp.Forwarder) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, isServed := p.byPort[port]; isServed {
		return fmt.Errorf("tcp port %d is served already", port)
	}
	if p.byPort == nil {
		p.byPort = make(map[uint16]*tcp.Forwarder)
	}
	p.byPort[port] = forwarder
	return nil
}

// A service handles the connections of one port, each on a goroutine of its own. It returns when the connection has ended. Returning
// without a call of accept refuses the connection.
type service func(accept func() (*conn, error))

// limits bound the resources of the connections of one port.
type limits struct {
	conns        int // attempts, and connections, at a time
	largeBuffers int // connections whose buffers may grow to maxBuffer; further ones get reducedBuffer
}

// An acceptor bounds the connections of one port.
type acceptor struct {
	endpoint     *Endpoint
	slots        chan struct{} // one value for each connection
	largeBuffers int
	serve        service
}

// serveTCP serves a port, and refuses connections beyond the limits.
func (e *Endpoint) serveTCP(port uint16, l limits, serve service) error {
	e.gate.RLock()
	defer e.gate.RUnlock()
	if e.closed {
		return net.ErrClosed
	}
	a := &acceptor{endpoint: e, slots: make(chan struct{}, l.conns), largeBuffers: l.largeBuffers, serve: serve}
	return e.served.add(port, tcp.NewForwarder(e.stack, defaultBuffer, l.conns, a.handle))
}

// handle serves one request, and returns when its connection needs no resources of netstack.
func (a *acceptor) handle(request *tcp.ForwarderRequest) {
	if !a.endpoint.beginTask() {
		request.Complete(false)
		return
	}
	defer a.endpoint.tasks.Done()
	attempt := &attempt{endpoint: a.endpoint, request: request}
	defer attempt.refuse()
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		a.endpoint.log.Warn("connection refused: too many", zap.Uint16("port", request.ID().LocalPort))
		return
	}
	attempt.reduced = len(a.slots) > a.largeBuffers
	a.serve(attempt.accept)
	attempt.awaitClose()
}

// An attempt is a request, which is completed exactly once.
type attempt struct {
	endpoint  *Endpoint
	request   *tcp.ForwarderRequest
	reduced   bool // its connection gets small buffers
	completed bool
	events    waiter.Queue // of conn
	conn      *conn        // nil: not accepted
}

// refuse sends a reset, unless the attempt is completed.
func (t *attempt) refuse() {
	if !t.completed {
		t.completed = true
		t.request.Complete(true)
	}
}

// accept answers the SYN and waits for the handshake.
func (t *attempt) accept() (*conn, error) {
	timeout := t.endpoint.stack.Clock().AfterFunc(handshakeTimeout, t.abort(t.request.ID()))
	socket, err := t.request.CreateEndpoint(&t.events)
	timeout.Stop()
	t.completed = true
	t.request.Complete(false)
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", stackError(err))
	}
	c := &conn{TCPConn: gonet.NewTCPConn(&t.events, detachingSocket{socket}), socket: socket, copySize: copySize}
	t.conn = c
	if t.reduced {
		c.reduceBuffers()
	}
	if err := c.keepAlive(); err != nil {
		c.reset()
		c.Close()
		return nil, fmt.Errorf("set keepalive: %w", err)
	}
	return c, nil
}

// abort returns a function that ends the handshake of one attempt. Netstack's own timeout is longer than two minutes.
func (t *attempt) abort(id netstack.TransportEndpointID) func() {
	s := t.endpoint.stack
	return func() {
		if socket := s.FindTransportEndpoint(header.IPv4ProtocolNumber, header.TCPProtocolNumber, id, nicID); socket != nil {
			socket.Abort()
		}
	}
}

// A conn is an accepted connection with the operations that net.Conn lacks.
type conn struct {
	*gonet.TCPConn
	socket   tcpip.Endpoint
	copySize int // bytes of buffer for a copy in one direction
}

// reduceBuffers makes the buffers small for the lifetime of the connection.
func (c *conn) reduceBuffers() {
	c.socket.SocketOptions().SetReceiveBufferSize(reducedBuffer, true)
	c.socket.SocketOptions().SetSendBufferSize(reducedBuffer, true)
	c.copySize = reducedCopySize
}

// reset sends RST and makes reads and writes fail. Close must follow.
func (c *conn) reset() { c.socket.Abort() }

// keepAlive enables keepalive.
func (c *conn) keepAlive() error {
	c.socket.SocketOptions().SetKeepAlive(true)
	idle, interval := keepaliveIdle, keepaliveInterval
	for _, option := range []tcpip.SettableSocketOption{&idle, &interval} {
		if err := c.socket.SetSockOpt(option); err != nil {
			return stackError(err)
		}
	}
	return stackError(c.socket.SetSockOptInt(tcpip.KeepaliveCountOption, keepaliveCount))
}
