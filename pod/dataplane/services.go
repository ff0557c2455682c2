package dataplane

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/stack"
	"github.com/podswitch/podswitch/vswitch"
)

// minReassembly is the size in bytes of a packet that every host can receive (RFC 791, section 3.1), and so of a DHCP message that
// every client can (RFC 2131, section 2), whatever the MTU of the path.
const minReassembly = 576

// newEndpoints makes the two netstack instances. There are two so that nothing which the guest sends to its DHCP server reaches the
// stack that answers on the wire.
func (d *delegation) newEndpoints() (err error) {
	f := &d.plan.forwarder
	mac := f.WireMAC
	if mac.IsZero() { // on a link without MACs the forwarder writes the headers
		mac = f.RouterMAC
	}
	d.pod, err = stack.New(stack.Config{Address: f.Address.Addr(), AddressIPv6: f.AddressIPv6.Addr(), MAC: mac, PeerMAC: f.RouterMAC,
		MTU: f.GuestMTU, ARP: !f.NoARP, Log: d.log.Named("pod")})
	if err != nil {
		return err
	}
	cfg := stack.Config{Address: f.Server, MAC: f.RouterMAC, MTU: max(f.GuestMTU, minReassembly), Log: d.log.Named("server")}
	if d.plan.offerIPv6 != nil {
		cfg.AddressIPv6 = d.plan.offerIPv6.Router()
	}
	d.server, err = stack.New(cfg)
	return err
}

// startServices starts kept ports, the DNS relay and the DHCP servers.
func (d *delegation) startServices() error {
	for i, k := range d.plan.keep {
		if k.Direct {
			continue
		}
		dial := func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			return d.session.dial(ctx, grant.Kept, i)
		}
		if err := d.pod.Keep(stack.KeptPort{Network: k.Network, Port: k.Port, Dial: dial, Proxy: k.Proxy}); err != nil {
			return err
		}
	}
	if len(d.plan.relayDNS) > 0 {
		if err := d.server.RelayDNS(d.plan.relayDNS, d.dialNameServer); err != nil {
			return err
		}
	}
	if d.leasesIPv6 != nil {
		if err := d.server.ServeDHCPv6(d.answerDHCPv6); err != nil {
			return err
		}
	}
	if d.leases == nil {
		return nil
	}
	return d.server.ServeDHCP(d.answerDHCP)
}

// dialNameServer is a stack.DNSDialer: it connects through the keeper, because the servers are on the pod's loopback.
func (d *delegation) dialNameServer(ctx context.Context, network string, server int) (net.Conn, error) {
	service := grant.DNSTCP
	if network == "udp" {
		service = grant.DNSUDP
	}
	return d.session.dial(ctx, service, server)
}

// answerDHCP is a stack.DHCPHandler.
func (d *delegation) answerDHCP(message []byte) (reply []byte, to netip.AddrPort, mac vswitch.MAC) {
	defer d.catchPanic()
	return d.leases.handle(message)
}

// answerDHCPv6 is a stack.DHCPv6Handler.
func (d *delegation) answerDHCPv6(message []byte, from, to netip.Addr, mac vswitch.MAC) (reply []byte) {
	defer d.catchPanic()
	return d.leasesIPv6.handle(message, from, to, mac)
}

// catchPanic is deferred. An unrecovered panic would end the process without an error for the keeper; this one ends the work phase.
func (d *delegation) catchPanic() {
	if r := recover(); r != nil {
		select {
		case d.faults <- fmt.Errorf("internal fault: %v\n%s", r, debug.Stack()):
		default: // an earlier one ends the work phase
		}
	}
}
