package stack

import (
	"container/list"
	"context"
	"errors"
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
//	SYN ─▶ ports.handle ─▶ tcp.Forwarder ─▶ acceptor.handle (bounds attempts: handshakes.go, and connections: places.go)
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

// A service handles the attempts to connect to one port, each on a goroutine of its own. It returns when the connection has ended.
// Returning without a call of accept refuses the connection.
type service func(*attempt)

// limits bound the resources of the connections of one port.
type limits struct {
	conns        int  // connections at a time
	largeBuffers int  // connections whose buffers may grow to maxBuffer; further ones get reducedBuffer
	isShared     bool // by several clients, each of which gets a share
}

// An acceptor bounds the connections of one port.
type acceptor struct {
	endpoint     *Endpoint
	places       places
	handshakes   handshakes
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
	a := &acceptor{endpoint: e, places: places{limit: l.conns, isShared: l.isShared}, handshakes: handshakes{isShared: l.isShared},
		largeBuffers: l.largeBuffers, serve: serve}
	// Twice the bound of unfinished handshakes: those that were evicted end a moment later.
	return e.served.add(port, tcp.NewForwarder(e.stack, defaultBuffer, 2*maxHandshakes, a.handle))
}

// handle serves one request, and returns when its connection needs no resources of netstack.
func (a *acceptor) handle(request *tcp.ForwarderRequest) {
	if !a.endpoint.beginTask() {
		request.Complete(false)
		return
	}
	defer a.endpoint.tasks.Done()
	t := &attempt{acceptor: a, endpoint: a.endpoint, request: request, id: request.ID(), client: request.ID().RemoteAddress}
	defer t.refuse()
	if !a.places.hasRoom(t.client) {
		t.logRefusal()
		return
	}
	t.ctx, t.cancel = context.WithCancel(a.endpoint.ctx)
	defer t.cancel()
	a.endpoint.handshaking.Add(1)
	t.isEager = a.handshakes.enter(t)
	defer t.endHandshake()
	a.serve(t)
	t.awaitClose()
	if t.hasPlace {
		a.places.leave(t.client)
	}
}

// An attempt is a request, which is completed exactly once.
type attempt struct {
	acceptor  *acceptor
	endpoint  *Endpoint
	request   *tcp.ForwarderRequest
	id        netstack.TransportEndpointID
	client    tcpip.Address
	completed bool
	events    waiter.Queue // of conn
	conn      *conn        // nil: not accepted
	hasPlace  bool         // among acceptor.places

	// The handshake.
	ctx     context.Context // done when the attempt is evicted or the endpoint closes
	cancel  context.CancelFunc
	place   *list.Element // in acceptor.handshakes
	isEager bool          // the target may be dialled before accept
	ended   bool          // the handshake
}

// refuse sends a reset, unless the attempt is completed.
func (t *attempt) refuse() {
	if !t.completed {
		t.completed = true
		t.request.Complete(true)
	}
}

func (t *attempt) logRefusal() {
	t.endpoint.log.Warn("connection refused: too many", zap.Uint16("port", t.id.LocalPort), zap.Stringer("client", t.client))
}

// evict ends the handshake of an attempt that makes room for another one.
func (t *attempt) evict() {
	t.cancel()
	t.abort()
}

// endHandshake removes the attempt from the unfinished handshakes. It is idempotent.
func (t *attempt) endHandshake() {
	if !t.ended {
		t.ended = true
		t.acceptor.handshakes.leave(t)
		t.endpoint.handshaking.Add(-1)
	}
}

// accept answers the SYN and waits for the handshake.
func (t *attempt) accept() (*conn, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	timeout := t.endpoint.stack.Clock().AfterFunc(handshakeTimeout, t.abort)
	socket, err := t.request.CreateEndpoint(&t.events)
	timeout.Stop()
	t.completed = true
	t.request.Complete(false)
	t.endHandshake()
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", stackError(err))
	}
	c := &conn{TCPConn: gonet.NewTCPConn(&t.events, detachingSocket{socket}), socket: socket, copySize: copySize}
	t.conn = c
	if err := t.settle(c); err != nil {
		c.reset()
		c.Close()
		return nil, err
	}
	return c, nil
}

// settle gives an established connection its place.
func (t *attempt) settle(c *conn) error {
	taken := t.acceptor.places.take(t.client)
	if taken == 0 {
		t.logRefusal()
		return errors.New("too many connections")
	}
	t.hasPlace = true
	if taken > t.acceptor.largeBuffers {
		c.reduceBuffers()
	}
	if err := c.keepAlive(); err != nil {
		return fmt.Errorf("set keepalive: %w", err)
	}
	return nil
}

// abort ends the handshake. Netstack's own timeout is longer than two minutes.
func (t *attempt) abort() {
	s := t.endpoint.stack
	if socket := s.FindTransportEndpoint(networkProtocol(t.id), header.TCPProtocolNumber, t.id, nicID); socket != nil {
		socket.Abort()
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
