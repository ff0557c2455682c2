package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/podswitch/podswitch/vswitch"
	"go.uber.org/zap"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// minMTU is the smallest IPv4 MTU that a link may have, in bytes (RFC 791, section 3.2).
const minMTU = 68

// abortInterval is how often Close repeats the abort of what was just being made while it began.
const abortInterval = 5 * time.Millisecond

// A Config says who the endpoint is.
type Config struct {
	// Address is the one IPv4 address that the endpoint answers for.
	Address netip.Addr

	// MAC is the endpoint's own: the source of every frame that it sends.
	MAC vswitch.MAC

	// PeerMAC is the destination of every IP packet but a DHCP reply. Zero leaves it to the forwarder.
	PeerMAC vswitch.MAC

	// MTU is the largest IP packet in bytes, without the Ethernet header: 68 to 65535.
	MTU int

	// ARP says whether requests for Address are answered.
	ARP bool

	// Log takes what goes wrong; nil is silence. Peers and the guest can cause that without end: it has to leave equal messages out.
	Log *zap.Logger

	// clock drives the timers of the network stack; nil is the real one.
	clock tcpip.Clock
}

// An Endpoint is a network stack with one address, and a vswitch.Port.
type Endpoint struct {
	cfg      Config
	log      *zap.Logger
	counters vswitch.Counters
	stack    *netstack.Stack
	link     *link
	receiver receiver
	served   ports
	waiting  timeWaits

	// ctx ends when Close begins; tasks are the goroutines of the services.
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	closeOnce sync.Once
	// gate is held for reading while frames are delivered and tasks begin, so that nothing does after Close has set closed.
	gate   sync.RWMutex
	closed bool
}

var _ vswitch.Port = (*Endpoint)(nil)

// New checks cfg and makes an endpoint of it, which answers from now on. The caller closes it.
func New(cfg Config) (*Endpoint, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	e := &Endpoint{cfg: cfg, log: cfg.Log}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.link = newLink(&e.cfg, &e.counters)
	if err := e.makeStack(); err != nil {
		_ = e.Close()
		return nil, fmt.Errorf("network stack for %s: %w", cfg.Address, err)
	}
	return e, nil
}

// check says what is wrong with cfg.
func (cfg *Config) check() error {
	switch a := cfg.Address; {
	case !a.Is4():
		return fmt.Errorf("endpoint address %q: want an IPv4 address", a)
	case a.IsUnspecified(), a.IsMulticast(), a.IsLoopback(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("endpoint address %s: want a unicast address", a)
	case cfg.MAC.IsZero(), cfg.MAC.IsMulticast():
		return fmt.Errorf("endpoint MAC %s: want a unicast address", cfg.MAC)
	case cfg.PeerMAC.IsMulticast():
		return fmt.Errorf("endpoint peer MAC %s: want a unicast address, or none", cfg.PeerMAC)
	case cfg.MTU < minMTU || cfg.MTU > 65535:
		return fmt.Errorf("endpoint MTU %d: want %d to 65535", cfg.MTU, minMTU)
	}
	return nil
}

// Counters returns the port's own counters. Sent counts frames that netstack took. Drops are also of frames that netstack sent and
// that nobody received: NoBuffer where the queue was full, PortDown where they waited in it at Close.
func (e *Endpoint) Counters() *vswitch.Counters { return &e.counters }

// Close resets all connections, waits for the goroutines of the services and of netstack and unblocks Receive. Netstack hands a
// SYN to a goroutine that it does not wait for: one that came just before may be refused only after Close has returned. What
// netstack has sent and Receive has not returned by then, resets of connections among it, is dropped and counted: nobody has to
// call Receive again. Close is idempotent and returns nil.
func (e *Endpoint) Close() error {
	e.closeOnce.Do(func() {
		e.gate.Lock()
		e.closed = true
		e.gate.Unlock()

		e.cancel()
		e.abortUntilIdle()
		e.stack.Close()
		e.stack.Wait()
		e.counters.Drop(vswitch.PortDown, e.link.queue.close())
	})
	return nil
}

// abortUntilIdle ends the services by aborting their sockets. A handshake that is just being made registers its socket
// later, hence the repetition.
func (e *Endpoint) abortUntilIdle() {
	idle := make(chan struct{})
	go func() {
		e.tasks.Wait()
		close(idle)
	}()
	for {
		for _, socket := range e.stack.RegisteredEndpoints() {
			socket.Abort()
		}
		select {
		case <-idle:
			return
		case <-time.After(abortInterval):
		}
	}
}

// begin registers a goroutine that Close waits for, which calls e.tasks.Done at its end. It returns false after Close.
func (e *Endpoint) begin() bool {
	e.gate.RLock()
	defer e.gate.RUnlock()
	if e.closed {
		return false
	}
	e.tasks.Add(1)
	return true
}

// run starts a goroutine that Close waits for. It returns net.ErrClosed after Close.
func (e *Endpoint) run(task func()) error {
	if !e.begin() {
		return net.ErrClosed
	}
	go func() {
		defer e.tasks.Done()
		task()
	}()
	return nil
}

// serveUDP binds a socket to address and runs serve with it, until Close closes the socket. It returns net.ErrClosed after
// Close.
func (e *Endpoint) serveUDP(address tcpip.FullAddress, serve func(*gonet.UDPConn)) error {
	if !e.begin() {
		return net.ErrClosed
	}
	socket, err := gonet.DialUDP(e.stack, &address, nil, header.IPv4ProtocolNumber)
	if err != nil {
		e.tasks.Done()
		return err
	}
	go func() {
		defer e.tasks.Done()
		defer socket.Close()
		serve(socket)
	}()
	return nil
}

// stackError makes a Go error of netstack's, which is not one; nil stays nil.
func stackError(err tcpip.Error) error {
	if err == nil {
		return nil
	}
	return errors.New(err.String())
}
