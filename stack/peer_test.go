package stack

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// A peer is another host: a netstack with an ordinary Ethernet link, without offloads and with ARP, on the wire of an endpoint. The wire
// segments the endpoint's frames, and fails the test if that is not possible.
type peer struct {
	endpoint *Endpoint
	stack    *netstack.Stack
	link     *channel.Endpoint
	segments atomic.Int64 // frames that the wire had to cut
}

// connectionTimeout bounds a connection in a test, on a busy machine.
const connectionTimeout = 6 * timeout

// peerMAC is the peer's address, and the pod endpoint's PeerMAC.
var peerMAC = routerMAC

// newPeer returns a peer of e, which is closed at the end of the test.
func newPeer(t testing.TB, e *Endpoint, address netip.Addr) *peer {
	t.Helper()
	p := &peer{endpoint: e, link: channel.New(2048, uint32(e.cfg.MTU)+14, tcpip.LinkAddress(peerMAC[:]))}
	p.stack = netstack.New(netstack.Options{
		NetworkProtocols:   []netstack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []netstack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	if err := p.stack.CreateNIC(1, ethernet.New(p.link)); err != nil {
		t.Fatal(err)
	}
	protocolAddress := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: stackAddress(address), PrefixLen: 8},
	}
	if err := p.stack.AddProtocolAddress(1, protocolAddress, netstack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	p.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	p.wire(t)
	return p
}

// wire moves frames both ways until the end of the test.
func (p *peer) wire(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	var moving sync.WaitGroup
	moving.Go(func() {
		drain(p.endpoint, func(f vswitch.Frame) { p.take(t, f) })
	})
	moving.Go(func() {
		for pkt := p.link.ReadContext(ctx); pkt != nil; pkt = p.link.ReadContext(ctx) {
			view := pkt.ToView()
			p.endpoint.Transmit([]vswitch.Frame{{Data: view.AsSlice()}})
			view.Release()
			pkt.DecRef()
		}
	})
	t.Cleanup(func() {
		_ = p.endpoint.Close()
		p.stack.Close()
		cancel()
		moving.Wait()
		p.stack.Wait()
		p.link.Close()
	})
}

// take passes a frame of the endpoint to the peer, segmented as the wire does.
func (p *peer) take(t testing.TB, f vswitch.Frame) {
	offload := f.Offload
	if !vnet.Check(&offload, f.Data) {
		t.Errorf("impossible offload %+v for %x", f.Offload, f.Data[:min(len(f.Data), 80)])
		return
	}
	if offload != f.Offload {
		t.Errorf("inexact offload %+v, want %+v", f.Offload, offload)
	}
	if offload.GSOType == vnet.GSONone {
		vnet.Complete(offload, f.Data)
		p.inject(f.Data)
		return
	}
	p.segments.Add(1)
	segments := vnet.Cut(offload, f.Data)
	segment := make([]byte, vnet.WireLen(offload, f.Data))
	for n := segments.Next(segment); n > 0; n = segments.Next(segment) {
		if n > p.endpoint.cfg.MTU+14 {
			t.Errorf("segment of %d bytes", n)
		}
		p.inject(segment[:n])
	}
}

// inject delivers a frame to the peer.
func (p *peer) inject(frame []byte) {
	pkt := netstack.NewPacketBuffer(netstack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer pkt.DecRef()
	p.link.InjectInbound(0, pkt)
}

// dial connects to a port of the endpoint, from the peer's own stack.
func (p *peer) dial(port uint16) (*gonet.TCPConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	to := tcpip.FullAddress{NIC: 1, Addr: stackAddress(p.endpoint.cfg.Address), Port: port}
	return gonet.DialContextTCP(ctx, p.stack, to, header.IPv4ProtocolNumber)
}

// awaitRefusal waits until the port refuses a connection: those before it get their places a moment after they are established.
func (p *peer) awaitRefusal(t testing.TB, port uint16) {
	t.Helper()
	await(t, "a refusal", func() bool {
		c, err := p.dial(port)
		if err == nil {
			_ = c.Close()
		}
		return err != nil && strings.Contains(err.Error(), "refused")
	})
}

// mustDial is dial for a served port.
func (p *peer) mustDial(t testing.TB, port uint16) *gonet.TCPConn {
	t.Helper()
	c, err := p.dial(port)
	if err != nil {
		t.Fatalf("dial port %d: %v", port, err)
	}
	_ = c.SetDeadline(time.Now().Add(connectionTimeout))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// newPod returns a pod endpoint and a peer on its wire.
func newPod(t testing.TB) (*Endpoint, *peer) {
	t.Helper()
	e, err := New(podConfig())
	if err != nil {
		t.Fatal(err)
	}
	return e, newPeer(t, e, otherAddress)
}
