package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// Defaults of a learning switch. The ageing time is that of IEEE 802.1D-2004, table 7-5.
const (
	DefaultAgeing   = vswitch.DefaultAgeing
	DefaultFDBLimit = vswitch.DefaultStations
)

// EthernetHeader is the length in bytes that an Ethernet header adds to an IP packet.
const EthernetHeader = 14

// Delegates reports whether the plan moves the pod address to the guest. Otherwise the connection is a plain bridge.
func (p *Plan) Delegates() bool { return p.Method != model.Bridge.String() }

// Delegate returns the configuration of the forwarder for IP mode. The caller sets OnUse.
func (p *Plan) Delegate() vswitch.DelegateConfig {
	id := p.Identity
	c := vswitch.DelegateConfig{
		WireMAC: vswitch.MAC(id.Link.MAC), RouterMAC: p.RouterMAC, PinnedMAC: p.PinnedMAC,
		Address: p.Address, AddressIPv6: p.AddressIPv6, Server: p.Server, MTU: id.Link.MTU, Routes: routes(id), Permanent: permanent(id), Rules: p.Rules,
		NoARP: id.Link.NoARP, Refuse: !p.Silent,
	}
	if p.OfferIPv6 != nil {
		c.GuestMTU, c.Advertisement = p.OfferIPv6.MTU, p.OfferIPv6.RouterAdvertisement(time.Now())
	}
	if p.Offer != nil {
		c.Gateway, c.GuestMTU = p.Offer.Gateway, p.Offer.MTU
	}
	if p.Egress != nil {
		c.Egress, c.EgressMAC = p.Egress.Address, vswitch.MAC(p.Egress.MAC)
	}
	for _, k := range p.KeptPorts {
		k.AddTo(&c)
	}
	return c
}

// Ethertypes (IEEE 802 numbers).
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
	typeVLAN = 0x8100
	typeQinQ = 0x88a8
)

// UplinkEthertypes returns the types of frames that the forwarder may use from the uplink; nil: all. Others need not wake the switch: in
// IP mode the pod's kernel keeps a family whose address does not move, and the network's own protocols such as LLDP and spanning tree do
// not pass. Tagged frames do not pass either, but they are counted.
func (p *Plan) UplinkEthertypes() []uint16 {
	if !p.Delegates() {
		return nil
	}
	types := []uint16{typeVLAN, typeQinQ}
	if p.Address.IsValid() {
		types = append(types, typeIPv4, typeARP)
	}
	if p.AddressIPv6.IsValid() {
		types = append(types, typeIPv6)
	}
	return types
}

// UplinkOwnFrames reports whether the uplink needs only frames that the pod's kernel would take: in IP mode, where nothing has the guest's MAC.
// Others would be copies that a bridge of the node floods, and a macvlan's parent would become promiscuous. With an address without a
// subnet, or without ARP, the link leads to the node alone, and the plugin may deliver frames with another MAC (bpf_redirect_peer).
func (p *Plan) UplinkOwnFrames() bool {
	hasSubnet := p.Address.IsValid() && p.Address.Bits() < 32 || p.AddressIPv6.IsValid() && p.AddressIPv6.Bits() < 128
	return p.Delegates() && hasSubnet && !p.Identity.Link.NoARP
}

// Bridge returns the configuration of the learning switch between the guest and the pod interface.
func (p *Plan) Bridge() vswitch.BridgeConfig {
	return PodBridge(cmp.Or(p.GuestMTU, p.Identity.Link.MTU), p.PinnedMAC) // 0 in the JSON of an earlier version
}

// PodBridge returns the configuration of a learning switch between a guest and a pod interface with the given MTU in bytes. The guest
// may use only the MAC pinned; zero: any.
func PodBridge(mtu int, pinned vswitch.MAC) vswitch.BridgeConfig {
	return vswitch.BridgeConfig{Ports: 2, Ageing: DefaultAgeing, Limit: DefaultFDBLimit, MaxFrame: mtu + EthernetHeader,
		Upstream: vswitch.PortUplink, Pinned: pinned, PinnedPort: vswitch.PortGuest}
}

// allUplinkRoutes returns the routes of the uplink of both families.
func allUplinkRoutes(id *podnet.Identity) []podnet.Route {
	return append(id.UplinkRoutes(podnet.IPv4), id.UplinkRoutes(podnet.IPv6)...)
}

// guestRoutes returns the routes of the pod for IPv4 that the guest gets: those of the uplink without an IPv6 next hop.
func guestRoutes(id *podnet.Identity) []podnet.Route {
	return slices.DeleteFunc(id.UplinkRoutes(podnet.IPv4), func(r podnet.Route) bool { return r.HasIPv6Gateway(id.Link.Index) })
}

// routes returns the routes of the guest in the form of the forwarder. A multipath route has its first gateway on the pod interface.
func routes(id *podnet.Identity) []vswitch.Route {
	var list []vswitch.Route
	for _, r := range append(guestRoutes(id), id.UplinkRoutes(podnet.IPv6)...) {
		list = append(list, vswitch.Route{Destination: r.Dst, Gateway: r.GatewayOn(id.Link.Index),
			MTU: int(r.Metrics["mtu"]), AdvMSS: int(r.Metrics["advmss"]), Metric: int(r.Metric)})
	}
	return list
}

// permanent returns the permanent neighbours of the pod, which the forwarder does not resolve.
func permanent(id *podnet.Identity) []vswitch.Neighbour {
	var list []vswitch.Neighbour
	for _, n := range id.Neighbours {
		if n.Permanent() && !n.Proxy {
			list = append(list, vswitch.Neighbour{Addr: n.Address, MAC: vswitch.MAC(n.MAC)})
		}
	}
	return list
}
