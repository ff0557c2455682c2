package plan

import (
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// This file converts a plan to the wire types of package grant; pod/dataplane converts them back to what it works with. The
// conversion is here and not in package grant, because it needs the types of podnet, dhcpsrv and vswitch, which the protocol does
// not.

// Wire returns the part of the plan that a switch needs. The rest stays with the keeper: the identity of the pod interface, the
// targets of kept ports, and the texts for people.
func (p *Plan) Wire() grant.Forwarder {
	if !p.Delegates() {
		b := WireBridge(p.Bridge())
		pod := p.wirePod()
		b.Pod = &pod
		return grant.Forwarder{Bridge: b}
	}
	c := p.Delegate()
	d := &grant.Delegate{
		Pod: p.wirePod(), RouterMAC: wireMAC(c.RouterMAC), PinnedMAC: wireMAC(c.PinnedMAC), LinkMTU: c.MTU, NoARP: c.NoARP,
		Egress: c.Egress, EgressMAC: wireMAC(c.EgressMAC), RelayDNS: p.RelayDNS, Offer: wireOffer(p.Offer), OfferIPv6: wireOfferIPv6(p.OfferIPv6), Mute: p.Mute, Silent: p.Silent, HoldAfter: int64(p.HoldAfter / time.Nanosecond),
	}
	for _, k := range p.KeptPorts {
		d.Keep = append(d.Keep, grant.KeptPort{Network: k.Network, Port: k.Port, Proxy: k.Proxy, Direct: k.Direct})
	}
	for _, r := range c.Routes {
		d.Routes = append(d.Routes, grant.Route{Destination: r.Destination, Gateway: r.Gateway, MTU: r.MTU, AdvMSS: r.AdvMSS, Metric: r.Metric})
	}
	for _, n := range c.Permanent {
		d.Neighbours = append(d.Neighbours, grant.Neighbour{Address: n.Addr, MAC: wireMAC(n.MAC)})
	}
	for _, r := range c.Rules {
		d.Rules = append(d.Rules, grant.Rule{Destination: r.Destination, Protocol: r.Protocol, Port: r.Port, Allow: r.Allow})
	}
	return grant.Forwarder{Delegate: d}
}

// WireBridge returns the description of a learning switch between plain devices.
func WireBridge(c vswitch.BridgeConfig) *grant.Bridge {
	return &grant.Bridge{
		Ports: c.Ports, Ageing: int64(c.Ageing / time.Nanosecond), Limit: c.Limit, MaxFrame: c.MaxFrame, Upstream: c.Upstream,
		Pinned: wireMAC(c.Pinned), PinnedPort: c.PinnedPort, GroupForward: c.GroupForward, ProbeID: c.ProbeID,
	}
}

func (p *Plan) wirePod() grant.Pod {
	id := p.Identity
	pod := grant.Pod{MAC: wireMAC(vswitch.MAC(id.Link.MAC)), MTU: id.MTU(podnet.IPv4)}
	pod.Address, _ = id.PodAddress(podnet.IPv4)
	pod.Gateway, _ = id.Gateway(podnet.IPv4)
	pod.AddressIPv6, _ = id.PodAddress(podnet.IPv6)
	pod.GatewayIPv6, _ = id.Gateway(podnet.IPv6)
	return pod
}

// wireOffer returns nil for nil.
func wireOffer(o *dhcpsrv.Offer) *grant.Offer {
	if o == nil {
		return nil
	}
	w := &grant.Offer{
		Server: o.Server, Gateway: o.Gateway, MTU: o.MTU, NameServers: o.NameServers, Domain: o.Domain, Search: o.Search,
		HostName: o.HostName, Lease: int64(o.Lease / time.Second), BootFileName: o.BootFileName, TFTPServerName: o.TFTPServerName,
		NTPServers: o.NTPServers, Subnet: string(o.Subnet), Valid: wireLeft(o.Expires), Preferred: wireLeft(o.Deprecated),
	}
	for _, r := range o.Routes {
		w.Routes = append(w.Routes, grant.OfferRoute{Destination: r.Destination, Gateway: r.Gateway})
	}
	for _, f := range o.BootFiles {
		w.BootFiles = append(w.BootFiles, grant.BootFile(f))
	}
	for _, e := range o.Extra {
		w.Extra = append(w.Extra, grant.ExtraOption(e))
	}
	for _, p := range o.Private {
		w.Private = append(w.Private, grant.PrivateOption{Code: p.Code, Value: p.Value})
	}
	return w
}

// wireOfferIPv6 returns nil for nil.
func wireOfferIPv6(o *dhcpsrv.Offer6) *grant.OfferIPv6 {
	if o == nil {
		return nil
	}
	w := &grant.OfferIPv6{
		Routes: o.Routes, MTU: o.MTU, NameServers: o.NameServers, Search: o.Search, Lease: int64(o.Lease / time.Second),
		Valid: wireLeft(o.Expires), Preferred: wireLeft(o.Deprecated), BootFileName: o.BootFileName, TFTPServerName: o.TFTPServerName,
		BootParameters: o.BootParameters, NTPServers: o.NTPServers,
	}
	for _, f := range o.BootFiles {
		w.BootFiles = append(w.BootFiles, grant.BootFile(f))
	}
	return w
}

// wireLeft returns the seconds until t, at least 1, or 0 for the zero time.
func wireLeft(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, int64(time.Until(t)/time.Second))
}

// wireMAC returns the text of a MAC, which is empty for the zero MAC.
func wireMAC(m vswitch.MAC) string {
	if m.IsZero() {
		return ""
	}
	return m.String()
}
