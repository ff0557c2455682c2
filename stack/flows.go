package stack

import (
	"container/list"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

// Kept UDP ports. A flow is one client, which is an address and a port, with a connection of its own to the target.
//
//	datagram ─▶ flows.read ─▶ flow.waiting ─▶ flow.run ─▶ target
//	         ◀─────────────────────────── flow.answer ◀──┘
//
// Source addresses may be false: everyone can begin flows in the name of any number of hosts. A new flow therefore always finds a place, the
// target's answers do not prolong a flow, and a client that may not exist gets few of them.

const (
	maxFlows       = 256             // flows of one kept port
	maxFlowDials   = 32              // connections to the target of one kept port that are being made
	maxFlowWaiting = 4               // datagrams of a flow that wait for its target
	maxUnconfirmed = 32              // answers to a client that has not sent again after the first of them
	flowIdle       = 2 * time.Minute // without a datagram of the client; the least that RFC 4787, REQ-5, allows
)

// flows are the flows of one kept port and one address of the endpoint.
type flows struct {
	*keptPort
	local  netip.AddrPort
	socket *gonet.UDPConn

	mu       sync.Mutex // guards the following
	byClient map[netip.AddrPort]*flow
	byUse    list.List // of *flow; the client of the first one has not sent for the longest time
	places   places
	dials    int // connections to the target that are being made
}

func newFlows(k *keptPort, local netip.AddrPort) *flows {
	return &flows{keptPort: k, local: local, byClient: map[netip.AddrPort]*flow{}, places: places{limit: maxFlows, isShared: true}}
}

// read distributes the datagrams of all clients until the socket is closed.
func (s *flows) read(socket *gonet.UDPConn) {
	s.socket = socket
	s.endpoint.flows.Store(s.local, s)
	message := make([]byte, maxDatagram)
	for {
		n, from, err := socket.ReadFrom(message)
		if errors.Is(err, io.EOF) {
			return
		}
		address, ok := from.(*net.UDPAddr)
		if err != nil || !ok || address.Port == 0 { // port 0: the client expects no answer (RFC 768), and none could be sent
			continue
		}
		client := address.AddrPort()
		s.deliver(netip.AddrPortFrom(client.Addr().Unmap(), client.Port()), append([]byte(nil), message[:n]...))
	}
}

// deliver passes a datagram to the flow of its client. It drops the datagram if too many wait, or too many flows begin at once.
func (s *flows) deliver(client netip.AddrPort, datagram []byte) {
	s.mu.Lock()
	f := s.byClient[client]
	if f == nil {
		f = s.beginLocked(client)
	} else {
		s.byUse.MoveToBack(f.place)
		f.idle.Reset(flowIdle)
		f.isConfirmed.Store(f.isConfirmed.Load() || f.answers.Load() > 0)
	}
	s.mu.Unlock()
	if f == nil {
		s.endpoint.log.Warn("kept port: datagram dropped: too many new clients", zap.Uint16("port", s.Port), zap.Stringer("client", client))
		return
	}
	select {
	case f.waiting <- datagram:
	default:
	}
}

// beginLocked starts a flow, and returns nil if it cannot. While there is no place for it, the client's least recent flow ends, or that of all: a
// client with many flows may have to give up several, because others have taken what was free.
func (s *flows) beginLocked(client netip.AddrPort) *flow {
	if s.dials == maxFlowDials {
		return nil
	}
	for !s.places.hasRoom(tcpipAddress(client)) {
		s.endLocked(s.leastRecentLocked(client.Addr()))
	}
	f := &flow{port: s, client: client, waiting: make(chan []byte, maxFlowWaiting)}
	f.ctx, f.cancel = context.WithCancel(s.endpoint.ctx)
	if s.endpoint.startTask(f.run) != nil {
		f.cancel()
		return nil
	}
	s.dials++
	s.places.take(tcpipAddress(client))
	s.byClient[client], f.place = f, s.byUse.PushBack(f)
	f.idle = s.endpoint.stack.Clock().AfterFunc(flowIdle, func() { s.end(f) })
	return f
}

// leastRecentLocked returns the flow that makes room for one of an address: its own least recent one, or else that of all.
func (s *flows) leastRecentLocked(address netip.Addr) *flow {
	for place := s.byUse.Front(); place != nil; place = place.Next() {
		if f := place.Value.(*flow); f.client.Addr() == address {
			return f
		}
	}
	return s.byUse.Front().Value.(*flow)
}

// end ends a flow. It is idempotent.
func (s *flows) end(f *flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(f)
}

func (s *flows) endLocked(f *flow) {
	if s.byClient[f.client] == f {
		delete(s.byClient, f.client)
		s.byUse.Remove(f.place)
		s.places.leave(tcpipAddress(f.client))
		f.idle.Stop()
	}
	f.cancel()
}

// find returns the flow of a client, or nil.
func (s *flows) find(client netip.AddrPort) *flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byClient[client]
}

func tcpipAddress(client netip.AddrPort) tcpip.Address { return stackAddress(client.Addr()) }

// A flow relays the datagrams of one client.
type flow struct {
	port    *flows
	client  netip.AddrPort
	ctx     context.Context // done when the flow has ended
	cancel  context.CancelFunc
	waiting chan []byte // datagrams of the client

	place *list.Element // in flows.byUse
	idle  tcpip.Timer

	last        atomic.Pointer[[]byte] // the datagram that the target got last
	answers     atomic.Int64           // until the client is confirmed
	isConfirmed atomic.Bool            // the client has sent again after an answer
}

// run connects to the target, and passes the client's datagrams on until the flow ends.
func (f *flow) run() {
	defer f.port.end(f)
	target, err := f.connect()
	if err != nil {
		f.fail(err)
		return
	}
	defer target.Close()
	stop := context.AfterFunc(f.ctx, func() { _ = target.Close() })
	defer stop()
	if f.port.endpoint.startTask(func() { f.answer(target) }) != nil {
		return
	}
	for {
		select {
		case <-f.ctx.Done():
			return
		case datagram := <-f.waiting:
			f.last.Store(&datagram)
			if f.port.Proxy {
				datagram = append(proxyHeader(proxyUDP, f.client, f.port.local), datagram...)
			}
			if _, err := target.Write(datagram); errors.Is(err, syscall.ECONNREFUSED) {
				f.refuse()
				return
			}
		}
	}
}

// connect dials the target.
func (f *flow) connect() (net.Conn, error) {
	defer func() {
		f.port.mu.Lock()
		f.port.dials--
		f.port.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(f.ctx, dialTimeout)
	defer cancel()
	return f.port.Dial(ctx, f.client)
}

// fail refuses the datagram of a flow without a target.
func (f *flow) fail(err error) {
	if f.ctx.Err() != nil {
		return
	}
	f.port.endpoint.log.Warn("kept port: dial failed", zap.Uint16("port", f.port.Port), zap.Error(err))
	select {
	case datagram := <-f.waiting:
		f.last.Store(&datagram)
		f.refuse()
	default:
	}
}

// answer sends the target's datagrams to the client until the flow ends.
func (f *flow) answer(target net.Conn) {
	defer f.port.end(f)
	message := make([]byte, maxDatagram)
	to := net.UDPAddrFromAddrPort(f.client)
	for {
		n, err := target.Read(message)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			f.refuse()
			return
		case err != nil:
			return
		case f.answers.Add(1) > maxUnconfirmed && !f.isConfirmed.Load():
			f.port.endpoint.log.Warn("kept port: answer dropped: too many to a client that has not sent again", zap.Uint16("port", f.port.Port),
				zap.Stringer("client", f.client))
		default:
			_, _ = f.port.socket.WriteTo(message[:n], to)
		}
	}
}

// refuse sends ICMP port unreachable about the last datagram, at the rate of netstack's own errors.
func (f *flow) refuse() {
	e, datagram := f.port.endpoint, f.last.Load()
	if datagram == nil || !e.stack.AllowICMPMessage() {
		return
	}
	if err := e.send(e.cfg.PeerMAC, familyOf(f.client.Addr()).number, portUnreachable(f.client, f.port.local, *datagram)); err != nil && e.ctx.Err() == nil {
		e.log.Warn("ICMP error not sent", zap.Stringer("client", f.client), zap.Error(err))
	}
}
