package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/vswitch"
)

// The defaults of a switch in IP mode.
const (
	defaultServer      = "169.254.75.10" // as in podswitch run
	defaultGateway     = "169.254.1.1"   // the gateway of an address with prefix length 31 or 32
	defaultGatewayIPv6 = "fe80::1"       // of one with 127 or 128
	defaultLease       = 24 * time.Hour
)

// ofFamily returns the address among the list that has the family, or the zero Addr.
func ofFamily(list []netip.Addr, isIPv4 bool) netip.Addr {
	for _, a := range list {
		if a.Is4() == isIPv4 {
			return a
		}
	}
	return netip.Addr{}
}

// podAddress returns the address of --address that has the family, or the zero Prefix.
func (f *replayFlags) podAddress(isIPv4 bool) netip.Prefix {
	for _, p := range f.addresses {
		if p.Addr().Is4() == isIPv4 {
			return p
		}
	}
	return netip.Prefix{}
}

// checkFamilies checks that there is one address of a family, and that gateways belong to one.
func (f *replayFlags) checkFamilies() error {
	for _, p := range f.addresses {
		if p != f.podAddress(p.Addr().Is4()) {
			return fmt.Errorf("--address %s: want one IPv4 and one IPv6 address at most", p)
		}
	}
	for _, g := range f.gateways {
		switch {
		case !f.podAddress(g.Is4()).IsValid():
			return fmt.Errorf("--gateway %s: want one of the family of --address", g)
		case g != ofFamily(f.gateways, g.Is4()):
			return fmt.Errorf("--gateway %s: want one IPv4 and one IPv6 gateway at most", g)
		}
	}
	if f.podAddress(false).IsValid() && f.mtu < minMTUIPv6 {
		return fmt.Errorf("--mtu %d: want %d or more with an IPv6 address", f.mtu, minMTUIPv6)
	}
	return nil
}

// delegate returns the configuration of a pod as network plugins usually make it, with the settings of the flags.
func (f *replayFlags) delegate() (*vswitch.DelegateConfig, error) {
	c := &vswitch.DelegateConfig{
		WireMAC: f.wireMAC, RouterMAC: f.routerMAC, Address: f.podAddress(true), AddressIPv6: f.podAddress(false), MTU: f.mtu, GuestMTU: f.mtu,
	}
	if c.WireMAC.IsZero() {
		host := f.addresses[0].Addr()
		if c.Address.IsValid() {
			host = c.Address.Addr()
		}
		bytes := host.AsSlice()
		c.WireMAC = vswitch.MAC(append([]byte{0x0a, 0x58}, bytes[len(bytes)-4:]...))
	}
	for _, r := range f.routes {
		c.Routes = append(c.Routes, vswitch.Route(r))
	}
	for _, p := range f.addresses {
		gateway := f.gatewayOf(p)
		if p.Addr().Is4() {
			c.Gateway, c.Server = gateway, netip.MustParseAddr(defaultServer)
		}
		if len(f.routes) == 0 {
			c.Routes = append(c.Routes, podRoutes(p, gateway)...)
		}
	}
	for _, k := range f.keep {
		k.AddTo(c)
	}
	for _, d := range f.deny {
		c.Rules = append(c.Rules, vswitch.Rule{Destination: d.Destination, Port: d.Port})
	}
	return c, advertise(c)
}

// advertise sets the router advertisement of a switch whose pod has IPv6.
func advertise(c *vswitch.DelegateConfig) error {
	if !c.AddressIPv6.IsValid() {
		return nil
	}
	o := dhcpsrv.Offer6{Address: c.AddressIPv6.Addr(), RouterMAC: dhcpsrv.MAC(c.RouterMAC), MTU: c.GuestMTU, Lease: defaultLease}
	for _, r := range c.Routes {
		if r.Destination.Addr().Is6() {
			o.Routes = append(o.Routes, r.Destination)
		}
	}
	offer, _, err := dhcpsrv.NewOffer6(o)
	if err != nil {
		return fmt.Errorf("--address %s: %w", c.AddressIPv6, err)
	}
	c.Advertisement = offer.RouterAdvertisement(time.Now())
	return nil
}

// gatewayOf returns the gateway of --gateway for an address, or the usual one.
func (f *replayFlags) gatewayOf(address netip.Prefix) netip.Addr {
	isIPv4 := address.Addr().Is4()
	if g := ofFamily(f.gateways, isIPv4); g.IsValid() {
		return g
	}
	switch {
	case address.Bits() < address.Addr().BitLen()-1:
		return address.Masked().Addr().Next()
	case isIPv4:
		return netip.MustParseAddr(defaultGateway)
	}
	return netip.MustParseAddr(defaultGatewayIPv6)
}

// podRoutes returns the routes of a subnet with a gateway.
func podRoutes(address netip.Prefix, gateway netip.Addr) (routes []vswitch.Route) {
	subnet := address.Masked()
	if !subnet.Contains(gateway) && !gateway.IsLinkLocalUnicast() || gateway.Is4() && !subnet.Contains(gateway) {
		routes = append(routes, vswitch.Route{Destination: netip.PrefixFrom(gateway, gateway.BitLen())})
	}
	everywhere := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if gateway.Is4() {
		everywhere = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return append(routes, vswitch.Route{Destination: subnet}, vswitch.Route{Destination: everywhere, Gateway: gateway})
}
