package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
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

// abortInterval is the time between two aborts of the sockets in Close.
const abortInterval = 5 * time.Millisecond

// A Config configures an Endpoint. MAC, MTU and an address are required.
type Config struct {
	// Address is the only IPv4 address of the endpoint: unicast, and not loopback. The zero Addr: it has none.
	Address netip.Addr

	// AddressIPv6 is the only IPv6 address of the endpoint: unicast, without a zone, and not loopback. The zero Addr: it has none.
	AddressIPv6 netip.Addr

	// MAC is the source of every frame that the endpoint sends: a unicast address.
	MAC vswitch.MAC

	// PeerMAC is the destination of every IP packet except DHCP replies of both families. The zero MAC leaves it to the forwarder.
	PeerMAC vswitch.MAC

	// MTU is the length in bytes of the largest IP packet, without the Ethernet header: 68 to 65535.
	MTU int

	// ARP makes the endpoint answer ARP requests for Address.
	ARP bool

	// Log receives failures; nil discards them. Peers can cause any number of them, so the logger has to limit equal messages.
	Log *zap.Logger

	// clock drives the timers of the network stack; nil: the real time.
	clock tcpip.Clock
}

// An Endpoint is a network stack with one address. It is a vswitch.Port: Transmit is safe for concurrent use, Receive is for one
// goroutine. New makes an Endpoint; the zero value is not usable.
type Endpoint struct {
	cfg       Config
	log       *zap.Logger
	counters  vswitch.Counters
	stack     *netstack.Stack
	link      *link
	receiver  receiver
	served    ports
	flows     sync.Map // *flows by the address and port, a netip.AddrPort
	dhcpv6    atomic.Pointer[dhcpv6Service]
	timeWaits timeWaits

	// handshaking counts the attempts of all ports whose handshake is unfinished.
	handshaking atomic.Int32

	// ctx is done when Close begins; tasks counts the goroutines of the services.
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	closeOnce sync.Once
	// gate guards closed. Delivery and the start of a task hold it for reading, so that neither happens after Close has set closed.
	gate   sync.RWMutex
	closed bool
}

var _ vswitch.Port = (*Endpoint)(nil)

// New returns an endpoint that answers at once. It returns an error if cfg is invalid. The caller must Close the endpoint.
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
		return nil, fmt.Errorf("network stack for %v: %w", cfg.addresses(), err)
	}
	return e, nil
}

// check validates cfg.
func (cfg *Config) check() error {
	switch v4, v6 := cfg.Address, cfg.AddressIPv6; {
	case v4.IsValid() && !v4.Is4() || !v4.IsValid() && !v6.IsValid():
		return fmt.Errorf("endpoint address %q: want an IPv4 address", v4)
	case v6.IsValid() && (!v6.Is6() || v6.Is4In6() || v6.Zone() != ""):
		return fmt.Errorf("endpoint address %q: want an IPv6 address without a zone", v6)
	case v6.IsValid() && cfg.MTU < header.IPv6MinimumMTU:
		return fmt.Errorf("endpoint MTU %d: want at least %d with IPv6", cfg.MTU, header.IPv6MinimumMTU)
	}
	for _, a := range cfg.addresses() {
		if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			return fmt.Errorf("endpoint address %s: want a unicast address", a)
		}
	}
	switch {
	case cfg.MAC.IsZero(), cfg.MAC.IsMulticast():
		return fmt.Errorf("endpoint MAC %s: want a unicast address", cfg.MAC)
	case cfg.PeerMAC.IsMulticast():
		return fmt.Errorf("endpoint peer MAC %s: want a unicast address, or none", cfg.PeerMAC)
	case cfg.MTU < minMTU || cfg.MTU > 65535:
		return fmt.Errorf("endpoint MTU %d: want %d to 65535", cfg.MTU, minMTU)
	}
	return nil
}

// addresses returns the addresses of the endpoint: one or two.
func (cfg *Config) addresses() []netip.Addr {
	return slices.DeleteFunc([]netip.Addr{cfg.Address, cfg.AddressIPv6}, func(a netip.Addr) bool { return !a.IsValid() })
}

// Counters implements vswitch.Port. Frames that netstack has accepted count as sent. Frames that netstack has sent and Receive has not
// returned count as drops: NoBuffer if the queue was full, PortDown if they were in it at Close.
func (e *Endpoint) Counters() *vswitch.Counters { return &e.counters }

// Close resets all connections, waits for the goroutines of the services and of netstack, and unblocks Receive. Packets in the queue,
// including the resets, are dropped and counted, so that no call of Receive has to follow. Netstack handles a SYN on a goroutine that
// Close does not wait for: a SYN that was transmitted just before may be refused after Close has returned. Close is idempotent and
// returns nil.
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

// abortUntilIdle ends the services by aborting their sockets. It repeats the abort because a handshake in progress registers its socket
// later.
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

// beginTask registers a goroutine that Close waits for, and that must call e.tasks.Done at its end. It returns false after Close.
func (e *Endpoint) beginTask() bool {
	e.gate.RLock()
	defer e.gate.RUnlock()
	if e.closed {
		return false
	}
	e.tasks.Add(1)
	return true
}

// startTask runs task on a goroutine that Close waits for. It returns net.ErrClosed after Close.
func (e *Endpoint) startTask(task func()) error {
	if !e.beginTask() {
		return net.ErrClosed
	}
	go func() {
		defer e.tasks.Done()
		task()
	}()
	return nil
}

// serveUDP binds a socket to address and runs serve with it on a goroutine. Close closes the socket. It returns net.ErrClosed after
// Close.
func (e *Endpoint) serveUDP(address tcpip.FullAddress, serve func(*gonet.UDPConn)) error {
	if !e.beginTask() {
		return net.ErrClosed
	}
	protocol := header.IPv4ProtocolNumber
	if address.Addr.Len() == header.IPv6AddressSize {
		protocol = header.IPv6ProtocolNumber
	}
	socket, err := gonet.DialUDP(e.stack, &address, nil, protocol)
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

// stackError converts a tcpip.Error, which is not an error. It returns nil for nil.
func stackError(err tcpip.Error) error {
	if err == nil {
		return nil
	}
	return errors.New(err.String())
}
