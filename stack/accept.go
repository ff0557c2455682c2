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

// Serving TCP ports. There are no listening sockets: a SYN to a served port becomes a request, on a goroutine of its own,
// which is answered only after its service has decided. So a kept port whose target refuses refuses too, and a probe that
// merely connects tells the truth.
//
//	SYN ─▶ ports.handle ─▶ tcp.Forwarder (bounds attempts) ─▶ acceptor.serve (bounds connections)
//	                                                            │ not accepted: RST
//	                                                            └ accepted: SYN-ACK, ACK ─▶ the service ─▶ leave.go
//
// A SYN to any other port gets a reset from netstack itself.

// handshakeTimeout is how long a peer may leave the handshake open before the attempt is given up, by the stack's clock.
const handshakeTimeout = 10 * time.Second

// Keepalive of accepted connections, so that vanished peers give their place back: after two minutes at most.
const (
	keepaliveIdle     = tcpip.KeepaliveIdleOption(60 * time.Second)
	keepaliveInterval = tcpip.KeepaliveIntervalOption(15 * time.Second)
	keepaliveCount    = 4
)

// ports are the TCP ports that are served. The zero value serves none.
type ports struct {
	mu     sync.RWMutex
	byPort map[uint16]*tcp.Forwarder
}

// handle is netstack's handler for TCP segments that belong to no connection. When it returns false they get a reset.
func (p *ports) handle(id netstack.TransportEndpointID, pkt *netstack.PacketBuffer) bool {
	p.mu.RLock()
	forwarder := p.byPort[id.LocalPort]
	p.mu.RUnlock()
	return forwarder != nil && forwarder.HandlePacket(id, pkt)
}

// add serves a port, or says that it is served already.
func (p *ports) add(port uint16, forwarder *tcp.Forwarder) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, taken := p.byPort[port]; taken {
		return fmt.Errorf("tcp port %d is served already", port)
	}
	if p.byPort == nil {
		p.byPort = make(map[uint16]*tcp.Forwarder)
	}
	p.byPort[port] = forwarder
	return nil
}

// A service takes the connections of one port. It runs on its own goroutine for each and returns when the connection has
// ended; it may return without a call of accept to refuse.
type service func(accept func() (*conn, error))

// limits bound what the connections of one port may cost.
type limits struct {
	conns int // attempts, and connections, at once
	roomy int // while there are no more than so many connections, a new one's buffers may grow to maxBuffer
}

// acceptor bounds the connections of one port.
type acceptor struct {
	endpoint *Endpoint
	places   chan struct{}
	roomy    int
	serve    service
}

// serveTCP serves a port. What comes beyond the limits is refused.
func (e *Endpoint) serveTCP(port uint16, l limits, serve service) error {
	e.gate.RLock()
	defer e.gate.RUnlock()
	if e.closed {
		return net.ErrClosed
	}
	a := &acceptor{endpoint: e, places: make(chan struct{}, l.conns), roomy: l.roomy, serve: serve}
	return e.served.add(port, tcp.NewForwarder(e.stack, defaultBuffer, l.conns, a.handle))
}

// handle takes one request for as long as its connection costs anything.
func (a *acceptor) handle(request *tcp.ForwarderRequest) {
	if !a.endpoint.begin() {
		request.Complete(false)
		return
	}
	defer a.endpoint.tasks.Done()
	attempt := &attempt{endpoint: a.endpoint, request: request}
	defer attempt.refuse()
	select {
	case a.places <- struct{}{}:
		defer func() { <-a.places }()
	default:
		a.endpoint.log.Warn("too many connections: refused one", zap.Uint16("port", request.ID().LocalPort))
		return
	}
	attempt.crowded = len(a.places) > a.roomy
	a.serve(attempt.accept)
	attempt.leave()
}

// attempt is a request that is completed exactly once.
type attempt struct {
	endpoint  *Endpoint
	request   *tcp.ForwarderRequest
	crowded   bool // a connection gets small buffers
	completed bool
	events    waiter.Queue // of conn
	conn      *conn        // nil: none was made
}

// refuse sends a reset, unless the attempt is completed.
func (t *attempt) refuse() {
	if !t.completed {
		t.completed = true
		t.request.Complete(true)
	}
}

// accept answers the SYN and waits for the end of the handshake.
func (t *attempt) accept() (*conn, error) {
	giveUp := t.endpoint.stack.Clock().AfterFunc(handshakeTimeout, t.abort(t.request.ID()))
	socket, err := t.request.CreateEndpoint(&t.events)
	giveUp.Stop()
	t.completed = true
	t.request.Complete(false)
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", stackError(err))
	}
	c := &conn{TCPConn: gonet.NewTCPConn(&t.events, borrower{socket}), socket: socket, copySize: copySize}
	t.conn = c
	if t.crowded {
		c.shrink()
	}
	if err := c.keepAlive(); err != nil {
		c.reset()
		c.Close()
		return nil, fmt.Errorf("set keepalive: %w", err)
	}
	return c, nil
}

// abort returns what ends the handshake of one attempt: netstack's own patience is over two minutes.
func (t *attempt) abort(id netstack.TransportEndpointID) func() {
	s := t.endpoint.stack
	return func() {
		if socket := s.FindTransportEndpoint(header.IPv4ProtocolNumber, header.TCPProtocolNumber, id, nicID); socket != nil {
			socket.Abort()
		}
	}
}

// conn is an accepted connection, with what net.Conn lacks.
type conn struct {
	*gonet.TCPConn
	socket   tcpip.Endpoint
	copySize int // bytes of the buffer that a copy in one direction may take
}

// shrink makes the buffers small, for good.
func (c *conn) shrink() {
	c.socket.SocketOptions().SetReceiveBufferSize(crowdBuffer, true)
	c.socket.SocketOptions().SetSendBufferSize(crowdBuffer, true)
	c.copySize = crowdCopySize
}

// reset sends RST and fails reads and writes. Close must follow.
func (c *conn) reset() { c.socket.Abort() }

// keepAlive turns keepalive on.
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
