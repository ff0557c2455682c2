package dhcpsrv

import (
	"net"
	"net/netip"
)

// A client that does not read option 121 cannot use a gateway outside its subnet, such as that of a /32. It gets a wider subnet, and a
// gateway in it. This needs a switch that answers ARP requests for every address and forwards by the IPv4 destination alone: it does not
// matter which gateway the client uses, and which hosts it takes for neighbours.

// A Subnet says which clients get a subnet that has the gateway in it, if the pod's subnet has not.
type Subnet string

// The values of Subnet.
const (
	SubnetAuto Subnet = ""     // clients that request no routes (option 121 or 249)
	SubnetWide Subnet = "wide" // all clients
	SubnetPod  Subnet = "pod"  // none
)

// The prefix lengths of a wide subnet. The client cannot reach the first and the last address of its subnet: those of a /24 are rarely
// pod addresses. minWideBits bounds the search for a subnet in which the pod address is neither.
const (
	maxWideBits = 24
	minWideBits = 8
)

// widen sets what the mask says, and the wide subnet where it applies. With SubnetWide, the Gateway becomes the one in that subnet.
func (o *Offer) widen() {
	o.subnet, o.wide = o.Address, nil
	if o.Subnet == SubnetPod || !o.Gateway.IsValid() || o.Address.Contains(o.Gateway) {
		return
	}
	subnet, gateway, ok := wideSubnet(o.Address)
	switch {
	case !ok:
	case o.Subnet == SubnetWide:
		o.subnet, o.Gateway = subnet, gateway
	default:
		o.wide = subnetOptions(subnet, gateway)
	}
}

// wideSubnet returns the smallest subnet of at most maxWideBits in which the pod address is neither the first nor the last address, and
// the first other address in it.
func wideSubnet(pod netip.Prefix) (subnet netip.Prefix, gateway netip.Addr, ok bool) {
	host := pod.Addr()
	for bits := min(pod.Bits(), maxWideBits); bits >= minWideBits; bits-- {
		subnet = netip.PrefixFrom(host, bits)
		zero := subnet.Masked().Addr()
		last, _ := netip.AddrFromSlice(directedBroadcast(subnet))
		if host == zero || host == last {
			continue
		}
		if gateway = zero.Next(); gateway == host {
			gateway = gateway.Next()
		}
		return subnet, gateway, true
	}
	return netip.Prefix{}, netip.Addr{}, false
}

// subnetOptions returns the options 1, 3 and 28, with an empty value for an option that is not sent.
func subnetOptions(subnet netip.Prefix, gateway netip.Addr) []option {
	return []option{{optMask, net.CIDRMask(subnet.Bits(), 32)}, {optRouter, gateway.AsSlice()}, {optBroadcast, directedBroadcast(subnet)}}
}
