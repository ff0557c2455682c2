package plan

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// leaseTime is the duration of a lease. The pod keeps its address for its whole life; an expired lease only shows that the guest
// is gone.
const leaseTime = 24 * time.Hour

// serverAddress is the address of the DHCP server, the same as in KubeVirt's bridge binding. freeServer replaces it if the pod uses
// the address.
var serverAddress = netip.AddrFrom4([4]byte{169, 254, 75, 10})

// offer returns the DHCP configuration of the guest, from the pod identity and the VM document.
func (p *Plan) offer(vm *model.VM) dhcpsrv.Offer {
	id := p.Identity
	o := dhcpsrv.Offer{
		Address: p.Address, Server: p.Server, MTU: min(id.MTU(podnet.IPv4), p.GuestMTU), NameServers: p.nameServers(podnet.IPv4),
		Search: id.Resolv.Search, HostName: id.HostName, Lease: leaseTime,
	}
	for i, ns := range o.NameServers {
		if isIPv6Server(ns) && slices.Contains(p.RelayDNS, netip.AddrPortFrom(ns, 53)) {
			o.NameServers[i] = p.Server
		}
	}
	o.Expires, o.Deprecated = id.Lifetimes(podnet.IPv4, time.Now())
	o.Gateway, _ = id.Gateway(podnet.IPv4)
	for _, r := range guestRoutes(p.Identity) {
		o.Routes = append(o.Routes, dhcpsrv.Route{Destination: r.Dst, Gateway: r.GatewayOn(id.Link.Index)})
	}
	if vm.Hostname != "" {
		o.HostName = vm.Hostname
	}
	options := vm.Interface.DHCP
	o.BootFileName, o.TFTPServerName = options.BootFileName, options.TFTPServerName
	o.NTPServers = onlyFamily(podnet.IPv4, options.NTPServers)
	o.Subnet = dhcpsrv.Subnet(options.Subnet)
	for _, file := range options.BootFiles {
		o.BootFiles = append(o.BootFiles, dhcpsrv.BootFile(file))
	}
	for _, option := range options.Options {
		o.Extra = append(o.Extra, dhcpsrv.ExtraOption{Code: option.Code, Value: []byte(option.Value)})
	}
	for _, private := range options.PrivateOptions {
		o.Private = append(o.Private, dhcpsrv.PrivateOption(private))
	}
	for _, s := range o.Search { // KubeVirt uses the longest one
		if len(s) > len(o.Domain) {
			o.Domain = s
		}
	}
	return o
}

// chooseRouterMAC returns the router MAC of the configuration or of the VM document, or else the one that routerMAC derives from a MAC. A guest that
// moves to another pod keeps its neighbours and its IPv6 router only if one of the two fixes the MAC.
func chooseRouterMAC(cfg *Config, from, wire, guest vswitch.MAC) (vswitch.MAC, error) {
	mac, source := cfg.RouterMAC, "--router-mac %s"
	if i := &cfg.VM.Interface; mac.IsZero() && i.RouterMAC != nil {
		mac, source = vswitch.MAC(i.RouterMAC), "routerMac %s of the VM document"
	}
	switch {
	case mac.IsZero():
		return routerMAC(from, wire, guest), nil
	case mac == wire:
		return mac, &ConflictError{fmt.Sprintf(source+" is the MAC of the pod interface (want another MAC)", mac)}
	case mac == guest:
		return mac, &ConflictError{fmt.Sprintf(source+" is the MAC of the guest (want another MAC)", mac)}
	}
	return mac, nil
}

// offerIPv6 returns what the guest is told about IPv6, from the pod identity and the VM document.
func (p *Plan) offerIPv6(vm *model.VM) dhcpsrv.Offer6 {
	id := p.Identity
	o := dhcpsrv.Offer6{
		Address: p.AddressIPv6.Addr(), RouterMAC: dhcpsrv.MAC(p.RouterMAC), MTU: p.mtuIPv6(), NameServers: p.nameServers(podnet.IPv6),
		Search: id.Resolv.Search, Lease: leaseTime,
	}
	o.Expires, o.Deprecated = id.Lifetimes(podnet.IPv6, time.Now())
	for _, r := range id.UplinkRoutes(podnet.IPv6) {
		o.Routes = append(o.Routes, r.Dst)
	}
	options := vm.Interface.DHCP
	o.BootFileName, o.TFTPServerName = options.BootFileName, options.TFTPServerName
	for _, file := range options.BootFiles {
		o.BootFiles = append(o.BootFiles, dhcpsrv.BootFile(file))
	}
	o.NTPServers, o.BootParameters = onlyFamily(podnet.IPv6, options.NTPServers), options.BootParameters
	return o
}

// mtuIPv6 returns the MTU of the guest's IPv6.
func (p *Plan) mtuIPv6() int {
	mtu := min(p.Identity.MTU(podnet.IPv6), p.GuestMTU)
	if p.Offer != nil && p.Offer.MTU != 0 { // DHCP sets that of the guest's device
		mtu = max(minMTUIPv6, min(mtu, p.Offer.MTU))
	}
	return mtu
}

// nameServers returns the pod's name servers that a family tells the guest. With one family, it tells about all, and warns of those of the
// other. A name server that needs a relay belongs to both, because the relay has an address of each.
func (p *Plan) nameServers(f podnet.Family) []netip.Addr {
	servers := slices.Clone(p.Identity.Resolv.NameServers)
	if !p.Address.IsValid() || !p.AddressIPv6.IsValid() {
		return servers
	}
	return onlyFamily(f, servers)
}

// onlyFamily returns the addresses of a family.
func onlyFamily(f podnet.Family, list []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return podnet.FamilyOf(a) != f })
}

// routerMAC derives the router MAC from the wire MAC of the take. The result is locally administered and differs from that and from the used MACs.
func routerMAC(from vswitch.MAC, used ...vswitch.MAC) vswitch.MAC {
	for salt := byte(0); ; salt++ {
		sum := sha256.Sum256(append([]byte{salt}, from[:]...))
		mac := vswitch.MAC(sum[:6])
		mac[0] = 0x02
		if mac != from && !slices.Contains(used, mac) {
			return mac
		}
	}
}

// relayedServers returns the name servers of the pod that need a relay, because only processes of the pod can reach them: those on its loopback,
// and, if the pod keeps its IPv6, those with an IPv6 address.
func relayedServers(id *podnet.Identity, keepsIPv6 bool) (servers []netip.AddrPort) {
	for _, ns := range id.Resolv.NameServers {
		if dhcpsrv.NeedsRelay(ns) || keepsIPv6 && isIPv6Server(ns) {
			servers = append(servers, netip.AddrPortFrom(ns, 53))
		}
	}
	return servers
}

// isIPv6Server reports whether a name server has an IPv6 address beyond the pod.
func isIPv6Server(ns netip.Addr) bool { return !ns.Unmap().Is4() && ns.IsGlobalUnicast() }

// onLoopback returns those of the relayed servers that run in the pod.
func onLoopback(relayed []netip.AddrPort) []netip.AddrPort {
	return slices.DeleteFunc(slices.Clone(relayed), func(s netip.AddrPort) bool { return isIPv6Server(s.Addr()) })
}

// freeServer returns serverAddress, or the next address that the pod does not use.
func freeServer(id *podnet.Identity) netip.Addr { return freeAddress(id, serverAddress) }

// freeAddress returns the first address from a given one on that the pod does not use as an address, a next hop, a host route or a name
// server.
func freeAddress(id *podnet.Identity, free netip.Addr) netip.Addr {
	used := map[netip.Addr]bool{}
	for _, a := range id.Addresses {
		used[a.Prefix.Addr()] = true
	}
	for _, r := range id.Routes {
		used[r.GatewayOn(id.Link.Index)] = true
		used[r.Dst.Addr()] = used[r.Dst.Addr()] || r.Dst.IsSingleIP()
	}
	for _, ns := range id.Resolv.NameServers {
		used[ns] = true
	}
	for used[free] {
		free = free.Next()
	}
	return free
}
