package main

// This file has the mistakes about IPv6 that are not about a parser, a takeover, or what both families share.

// neighbourDiscovery returns mistakes in what a router and a host of IPv6 say and believe.
func neighbourDiscovery() []mutant {
	const pkg, target, nd, n = "./vswitch", "TestDelegateScripts", "vswitch/nd.go", "vswitch/neighbour.go"
	return []mutant{
		{target, pkg, nd, "a guest that solicits routers gets no advertisement", "vnet.RouterSolicitation && out.uplink.advertisement != nil", "vnet.RouterSolicitation && false"},
		{target, pkg, nd, "an advertisement goes to the Ethernet address of a guest that has no address", "to, target = allNodes.GroupMAC(true), allNodes", "target = allNodes"},
		{target, pkg, nd, "an advertisement seems to have passed a router", "vnet.PutICMPv6(b[packet.EthernetLen:], 255, v.server", "vnet.PutICMPv6(b[packet.EthernetLen:], 64, v.server"},
		{target, pkg, nd, "no advertisement at the start", "(!ok || now-last >= advertiseInterval)", "ok && now-last >= advertiseInterval"},
		{target, pkg, nd, "the guest's solicitations and duplicate address detection leave", "target == p.Source:\n\t\tout.Drop(OwnND)", "target == p.Source:\n\t\tout.Send(PortUplink, *f)"},
		{target, pkg, nd, "the router's own address may be taken by the guest", "p.Source == lookup.Key{} && target != v.server", "p.Source == lookup.Key{}"},
		{target, pkg, nd, "an answer to all nodes has the flag S", "flags&^vnet.DiscoverySolicited", "flags"},
		{target, pkg, nd, "an answer does not override", "flags |= vnet.DiscoveryOverride | vnet.DiscoverySolicited", "flags |= vnet.DiscoverySolicited"},
		{target, pkg, nd, "an answer comes from another address than the target", "&reply, to, lookup.Key6(d.Target[:]), asker, out)", "&reply, to, v.server, asker, out)"},
		{target, pkg, nd, "an answer ignores the link-layer address of the question", "\tif MAC(d.MAC).isStation() {\n\t\tto = d.MAC\n\t}\n", ""},
		{target, pkg, nd, "the guest is told that its own address is the router's", "target == v.address, target == p.Source:", "target == p.Source:"},
		{target, pkg, nd, "an advertisement of the guest is no use of the address", "isAnswer && target == v.address &&", "isAnswer && target == v.server &&"},
		{target, pkg, nd, "an advertisement with another MAC is a use of the address", " && (MAC(d.MAC).IsZero() || MAC(d.MAC) == to)", ""},
		{target, pkg, nd, "the switch answers while the kernel is the holder", "isAsked && v.isHeldBy(HolderKernel)", "isAsked && v.cfg == nil"},
		{target, pkg, nd, "the pod is a router for the wire", "out.uplink.mac, 0, out)", "out.uplink.mac, vnet.DiscoveryRouter, out)"},
		{target, pkg, nd, "the wire gets the router MAC", "p.Source, out.uplink.mac, 0, out)", "p.Source, v.cfg.RouterMAC, 0, out)"},
		{target, pkg, nd, "every advertisement overrides", "d.Flags&vnet.DiscoveryOverride != 0}, now", "true}, now"},
		{target, pkg, nd, "the identifier of the router's address is not inverted", "8: m[0] ^ 2,", "8: m[0],"},
		{target, pkg, n, "a solicitation has no source", "sendDiscovery(PortUplink, &d, to, n.address, target, out)", "sendDiscovery(PortUplink, &d, to, lookup.Key{}, target, out)"},
		{target, pkg, n, "a next hop is asked four times", "neighbourTries     = 3 ", "neighbourTries     = 4 "},
		{target, pkg, n, "a known neighbour is asked by multicast", "n.ask(port, ip, value.mac(), now, out)", "n.ask(port, ip, Broadcast, now, out)"},
		{target, pkg, n, "an answer without a link-layer address confirms nothing", "\t\tmac = value.mac()\n", "\t\treturn true\n"},
		{target, pkg, n, "a permanent neighbour is asked", "if !value.isPermanent() && now-seen", "if now-seen"},
		{target, pkg, n, "a permanent neighbour is replaced", " || known && value.isPermanent()", ""},
		{target, pkg, "vnet/icmpv6.go", "an option has no length", "if n == 0 || n > len(options) {", "if n = max(n, 8); n > len(options) {"},
		{target, pkg, "vnet/icmpv6.go", "a code other than 0 is accepted", "message[1] != 0 || d.Target[0]", "d.Target[0]"},
		{target, pkg, "vnet/icmpv6.go", "a group is a target", " || d.Target[0] == 0xff", ""},
		{target, pkg, "vnet/icmpv6.go", "duplicate address detection has a link-layer address", "isToGroup && d.MAC == [6]byte{}", "isToGroup"},
		{target, pkg, "vnet/icmpv6.go", "an answer goes to a group", "return packet[24] != 0xff || d.Flags&DiscoverySolicited == 0", "return len(packet) > 24"},
		{target, pkg, "vswitch/uplink.go", "the announcement of a new wire MAC does not override", "Flags: vnet.DiscoveryOverride, Target: n.address", "Target: n.address"},
		{"TestSetUplinkAdvertisement", pkg, "vswitch/uplink.go", "the guest is not told of a changed advertisement", "\t\td.IPv6.Advertise()\n", ""},
		{"TestOffenders", pkg, nd, "a host that claims the pod address is not named", "out.dropFor(ForeignND, offendingMAC(from))", "out.Drop(ForeignND)"},
	}
}

// limitsOfIPv6 returns mistakes in what passes between the guest and the wire.
func limitsOfIPv6() []mutant {
	const pkg, target = "./vswitch", "TestDelegateScripts"
	const guest, wire, icmp, layout = "vswitch/delegate_guest.go", "vswitch/delegate_wire.go", "vswitch/icmp.go", "vnet/layout.go"
	return []mutant{
		{target, pkg, "internal/packet/icmp.go", "a report of listeners passes", "t >= 130 &&", "t >= 132 &&"},
		{target, pkg, "internal/packet/icmp.go", "a redirect passes", "t <= 137 ||", "t <= 136 ||"},
		{target, pkg, "internal/packet/packet.go", "a DHCPv6 client's port passes", "port == DHCPv6ServerPort || port == DHCPv6ClientPort", "port == DHCPv6ServerPort"},
		{target, pkg, guest, "another address than the pod's leaves", "p.Source != v.address:\n\t\tout.dropFor(ForeignSource", "v.cfg == nil:\n\t\tout.dropFor(ForeignSource"},
		{target, pkg, guest, "the server gets what is for other link-local addresses", "if p.Target != v.server {\n\t\tout.Drop(LinkLocal)", "if v.cfg == nil {\n\t\tout.Drop(LinkLocal)"},
		{target, pkg, guest, "a SYN to the wire keeps its MSS", "\tp.ClampMSS(&f.Offload, f.Data, r.mss)\n", ""},
		{target, pkg, wire, "the guest gets what is for the kernel's link-local address", "case v.isIPv6 && p.Target.IsLinkLocal():\n\t\tout.Drop(PodIPv6)\n", ""},
		{target, pkg, wire, "the guest's router is on the wire", "case p.Source == v.address, p.Source == v.server:", "case p.Source == v.address:"},
		{target, pkg, wire, "a packet without a source reaches the guest", "p.Source == (lookup.Key{}) && !v.isIPv6", "p.Source == (lookup.Key{})"},
		{target, pkg, wire, "an ipvlan's other pods are reflections", "lookup.Key6(frame[packet.EthernetLen+8:]) != v.address", "len(frame) == 0"},
		{target, pkg, "internal/packet/tcp.go", "the MSS of IPv6 is that of IPv4", "mtu-IPv6Len-TCPLen", "mtu-IPv4Len-TCPLen"},
		{target, pkg, "internal/lookup/key.go", "an IPv4-mapped address is a host", "return k.Hi == 0 || k.Hi>>56", "return k.Hi>>56"},
		{target, pkg, "internal/lookup/key.go", "a group has another MAC", "{0x33, 0x33, byte(k.Lo >> 24)", "{0x33, 0x33, byte(k.Lo >> 32)"},
		{target, pkg, icmp, "no error about a packet to a group that is too big", " && !(v.isIPv6 && e == errorTooBig)", ""},
		{target, pkg, icmp, "an error about an error", " || p.IsError(frame)", ""},
		{target, pkg, icmp, "errors are not limited", " || v.isIPv6 && e != errorTooBig && v.errors.Add(1) > errorLimit", ""},
		{target, pkg, icmp, "an error has more than 1280 bytes", "packet.EthernetLen+minMTU-packet.IPv6Len-8", "packet.EthernetLen+minMTU-packet.IPv6Len"},
		{target, pkg, icmp, "an error comes from the destination", "vnet.PutICMPv6(ip, 64, router.Bytes()", "vnet.PutICMPv6(ip, 64, p.Target.Bytes()"},
		{target, pkg, layout, "nine extension headers are walked", "maxExtensions = 8", "maxExtensions = 9"},
		{target, pkg, layout, "data of a later fragment is a header", "return next, at + 8, field>>3 != 0", "return next, at + 8, false"},
		{target, pkg, layout, "a packet may end within its headers", "if l.end < l.transport {", "if l.end < l.network {"},
		{target, pkg, "internal/packet/packet.go", "a jumbogram passes", "if !h.Parse(ip) || h.End == 0 {", "if !h.Parse(ip) {"},
		{target, pkg, "internal/packet/packet.go", "a first fragment may lack the transport header", "(!p.FirstFragment || p.ParseTransport(frame))", "(!p.FirstFragment || p.Fragment || p.ParseTransport(frame))"},
		{target, pkg, "vswitch/route.go", "the route with the highest metric applies", "return a.Metric - b.Metric", "return b.Metric - a.Metric"},
	}
}

// dhcpv6 returns mistakes in what the guest is told of IPv6: by advertisements and by DHCPv6.
func dhcpv6() []mutant {
	const pkg, ra, advertisement = "./dhcpsrv", "TestRouterAdvertisement", "dhcpsrv/advertisement.go"
	const answer, options = "dhcpsrv/answer6.go", "dhcpsrv/options6.go"
	return []mutant{
		{ra, pkg, advertisement, "the flag M is clear", "managedAndOther         = 0xc0", "managedAndOther         = 0x40"},
		{ra, pkg, advertisement, "the flag O is clear", "managedAndOther         = 0xc0", "managedAndOther         = 0x80"},
		{ra, pkg, advertisement, "the router lives for 1800 s", "lifetime := advertisedFor", "lifetime := 1800 * time.Second"},
		{ra, pkg, advertisement, "a pod without a default route is a default router", "lifetime = 0", "lifetime *= 1"},
		{ra, pkg, advertisement, "the prefix is not on-link", "onLink                  = 0x80 ", "onLink                  = 0x00 "},
		{ra, pkg, advertisement, "the prefix is that of the plugin", "byte(o.Address.BitLen()), onLink", "64, onLink"},
		{ra, pkg, advertisement, "the MTU is not told", "if o.MTU != 0 {", "if o.MTU < 0 {"},
		{ra, pkg, advertisement, "name servers are not told", "if len(o.NameServers) > 0 {", "if o.MTU < 0 {"},
		{ra, pkg, advertisement, "search domains are not told", "if len(o.Search) > 0 {", "if o.MTU < 0 {"},
		{ra, pkg, advertisement, "the router's MAC is not told", "message = appendRA(message, raSourceMAC, o.RouterMAC[:])\n", ""},
		{ra, pkg, advertisement, "routes are told beside a default route", "\tif o.isDefaultRouter() {\n\t\treturn nil\n\t}\n", ""},
		{"TestGolden6", pkg, "dhcpsrv/reply6.go", "clients wait for other servers", "maxPreference  = 255", "maxPreference  = 0"},
		{"TestAnswer6", pkg, answer, "a rapid commit is answered by an offer", "case x.request.rapid && len(", "case x.hasExpired() && len("},
		{"TestAnswer6", pkg, answer, "REQUEST of a wrong address gets another one", "x.assign(refuseOthers)", "x.assign(endOthers)"},
		{"TestAnswer6", pkg, answer, "REBIND needs the server's identifier", "dhcpv6.MessageTypeRebind:             needsClient", "dhcpv6.MessageTypeRebind:             needsBoth"},
		{"TestAnswer6", pkg, answer, "a wrong address is confirmed", "case wrong || x.hasExpired():", "case wrong && x.hasExpired():"},
		{"TestAnswer6", pkg, answer, "no address is confirmed", "case len(addresses) == 0:", "case len(addresses) < 0:"},
		{"TestAnswer6", pkg, "dhcpsrv/reply6.go", "a prefix is delegated", "case a.kind == dhcpv6.OptionIAPD:", "case a.kind == dhcpv6.OptionIAPD && x.hasExpired():"},
		{"TestAnswer6", pkg, "dhcpsrv/reply6.go", "the address is a temporary one, too", "case a.kind == dhcpv6.OptionIATA:", "case a.kind == dhcpv6.OptionIATA && x.hasExpired():"},
		{"TestAnswer6", pkg, "dhcpsrv/lease6.go", "a lease keeps the associations of an earlier client", "if l.MAC == mac && slices.Equal(l.DUID, duid) {", "if l.MAC == mac {"},
		{"TestRefused6", pkg, answer, "a message for another server is answered", "!bytes.Equal(req.server, x.offer.duid())", "bytes.Equal(req.server, nil)"},
		{"TestRefused6", pkg, answer, "RELEASE needs no server's identifier", "dhcpv6.MessageTypeRelease:            needsBoth", "dhcpv6.MessageTypeRelease:            needsNone"},
		{"TestSenders6", pkg, answer, "a message to another address than that of all servers is answered", "case q.To != AllServers():", "case q.To == q.From:"},
		{"TestOptions6", pkg, options, "every reply says when to refresh it", "return x.request.kind == dhcpv6.MessageTypeInformationRequest", "return true"},
		{"TestOptions6", pkg, options, "search domains are only told on request", "case dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList:", "case dhcpv6.OptionDNSRecursiveNameServer:"},
		{"TestOptions6", pkg, "dhcpsrv/reply6.go", "a reply exceeds the MTU", "if o.size() <= room {", "if o.size() <= 0xffff {"},
		{"TestOffer6Errors", pkg, "dhcpsrv/offer6.go", "an MTU below 1280 is told", "o.MTU < minMTU6 || ", ""},
	}
}

// holders returns mistakes in when the guest gets the IPv6 address, and in what a plan says of it.
func holders() []mutant {
	const pkg, plan = "./pod/dataplane", "./pod/plan"
	return []mutant{
		{"TestAdvertisementForADevice", pkg, "pod/dataplane/absence.go", "a guest whose device comes gets no advertisement", "d.delegate.IPv6.Advertise()", ""},
		{"TestProbesOfIPv6", pkg, "pod/dataplane/absence.go", "a guest that only listens is not asked", "d.server.Probe(vswitch.Broadcast, a.address)", ""},
		{"TestOtherMACOfIPv6", pkg, "pod/dataplane/lease.go", "the owner of the lease is not asked", "o.probe(owner)", ""},
		{"TestOtherMACOfIPv6", pkg, "pod/dataplane/leaseipv6.go", "an absent guest keeps the lease", "l.ownerAbsent || ", ""},
		{"TestHolderByDHCPv6", pkg, "pod/dataplane/leaseipv6.go", "the lease never ends", "!l.now().Before(l.lease.Expires)", "l.lease.Expires.IsZero()"},
		{"TestFamiliesApart", pkg, "pod/dataplane/address.go", "the use of one address is one of the other", "if a.family == family {", "if family != nil {"},
		{"TestNoIPv6", plan, "pod/plan/plan.go", "an address moves whose path is too small for IPv6", "ok && mtu < minMTUIPv6 {", "ok && mtu < 1 {"},
		{"TestWhyNoIPv6", plan, "pod/plan/plan.go", "the error does not name the addresses that stay", ", keptAddressWarnings(id)))", "))"},
		{"TestGuestWithoutClient", plan, "pod/plan/findings.go", "a plan does not name the way of a guest without a DHCPv6 client", "if p.AddressIPv6.IsValid() {\n\t\tadd(", "if !p.AddressIPv6.IsValid() {\n\t\tadd("},
		{"TestFamilies", plan, "pod/plan/forwarder.go", "an IPv4-only pod has advertisements", "if p.OfferIPv6 != nil {", "if c.Advertisement = []byte{134}; p.OfferIPv6 != nil {"},
		{"TestNothingOfNeighbourDiscovery", "./stack", "stack/netstack.go", "netstack reports its groups", "ipv6.Options{}", "ipv6.Options{MLD: ipv6.MLDOptions{Enabled: true}}"},
		{"TestTooBigOfIPv6", "./stack", "stack/screen.go", "netstack believes an MTU below 1280", ">= uint32(p.minPathMTU)", ">= 68"},
	}
}

// routesOfIPv6 returns mistakes in the next hop of an IPv6 packet, and in what a deny rule of IPv6 is.
func routesOfIPv6() []mutant {
	const pkg, scripts, table, key = "./vswitch", "TestDelegateScripts", "vswitch/route.go", "internal/lookup/key.go"
	const plan, config, deny = "./pod/plan", "pod/plan/config.go", "TestParseDenyRule"
	const podnet, restored = "./pod/podnet", "TestGiveBackLeavesIPv6RoutesOfOtherInterfaces"
	return []mutant{
		{scripts, pkg, table, "the route with the shortest prefix applies", "b.Destination.Bits() - a.Destination.Bits()", "a.Destination.Bits() - b.Destination.Bits()"},
		{scripts, pkg, table, "a gateway of IPv6 is not used", "lookup.IsOf(r.Gateway, isIPv6)", "lookup.IsOf(r.Gateway, false)"},
		{scripts, pkg, table, "routes of the other family apply", "!lookup.IsOf(r.Destination.Addr(), isIPv6)", "!r.Destination.IsValid()"},
		{scripts, pkg, key, "a prefix of more than 64 bits is one of 64", "^(^uint64(0) >> max(bits-64, 0))}", "0}"},
		{scripts, pkg, key, "a prefix of more than 64 bits keeps its host bits", "address.Lo & mask.Lo}", "address.Lo}"},
		{scripts, pkg, key, "the lower half of an address is not compared", "return k.Hi&p.mask.Hi == p.network.Hi && k.Lo&p.mask.Lo == p.network.Lo", "return k.Hi&p.mask.Hi == p.network.Hi"},
		{"TestMultipathOfIPv6", plan, "pod/podnet/route.go", "the first gateway of a multipath route applies, of whatever interface", "hop.Link == link && hop.Gateway.IsValid() && FamilyOf", "hop.Gateway.IsValid() && FamilyOf"},
		{"TestMultipathOfIPv6", plan, "pod/podnet/identity.go", "a route through another interface applies", " && r.leavesThrough(id.Link.Index) {", " {"},
		{"TestMultipathOfIPv6", plan, "pod/podnet/identity.go", "the guest is told of short prefixes first", "cmp.Compare(b.Dst.Bits(), a.Dst.Bits())", "cmp.Compare(a.Dst.Bits(), b.Dst.Bits())"},
		{restored, podnet, "pod/podnet/ipv6.go", "a route without a gateway is one of a multipath route", " && r.nextHops()[0].Gateway.IsValid()", ""},
		{"FuzzConfig", plan, config, "a denied destination of IPv6 is printed without brackets", "\"[%s]:%d\"", "\"%s:%d\""},
		{deny, plan, config, "a destination of IPv6 without brackets is cut at a colon", "strings.Count(text, \":\") > 1", "strings.Count(text, \":\") > 99"},
		{deny, plan, config, "an opening bracket is not needed", "ok && text[0] == '['", "ok"},
		{deny, plan, config, "a port needs no colon behind the bracket", "rest != \"\" && (!ok || port == \"\")", "rest != \"\" && (!ok && false || port == \"\")"},
		{deny, plan, config, "a colon behind the bracket needs no port", "rest != \"\" && (!ok || port == \"\")", "rest != \"\" && !ok"},
	}
}

// statuses returns mistakes in what status shows of IPv6.
func statuses() []mutant {
	const pkg, test, file = "./pod/dataplane", "TestStatusOfIPv6", "pod/dataplane/status.go"
	const command, text, printed = "./cmd/podswitch", "TestStatusText", "cmd/podswitch/status.go"
	return []mutant{
		{test, pkg, file, "a pod with IPv6 alone has no holder", "status.Holder = cmp.Or(status.Holder, v6.Holder)", "status.Holder = cmp.Or(status.Holder)"},
		{test, pkg, file, "the holder of IPv6 is that of IPv4", "status.Holder = cmp.Or(status.Holder, v6.Holder)", "status.Holder = cmp.Or(status.Holder, v6.Holder)\n\t\tv6.Holder = status.Holder"},
		{test, pkg, file, "the lease of IPv6 is absent", "a.holder().String(), d.leasesIPv6.status()", "a.holder().String(), nil"},
		{test, pkg, file, "the client's identifier is absent", ", DUID: l.lease.DUID.Kind()}", "}"},
		{test, pkg, "pod/dataplane/wire.go", "the router is absent", "p.status.IPv6.Router, p.status.IPv6.MTU = p.offerIPv6.Router().String(), p.offerIPv6.MTU", "p.status.IPv6.MTU = p.offerIPv6.MTU"},
		{test, pkg, "pod/dataplane/wire.go", "the gateway of IPv6 is absent", "if p.GatewayIPv6.IsValid() {", "if s.Address == \"\" {"},
		{test, pkg, "pod/dataplane/address.go", "ready while the guest has IPv4 alone", "!slices.ContainsFunc(d.addresses, ", "!slices.ContainsFunc(d.addresses[:1], "},
		{text, command, printed, "two holders are shown as one", " || s.Holder == s.IPv6.Holder {", " || s.Holder != \"\" {"},
		{text, command, printed, "a pod with IPv6 alone shows a lease of IPv4", "&& (s.Address != \"\" || s.IPv6 == nil) {", "{"},
		{text, command, printed, "the lease of IPv6 is not shown", "describeLease(s.IPv6.Lease)", "describeLease(s.Lease)"},
	}
}

// interfaces returns mistakes in the take of an IPv6 address and in giving it back.
func interfaces() []mutant {
	const pkg, file, stays, back = "./pod/podnet", "pod/podnet/ipv6.go", "TestAddressesOfRouterAdvertisementsStay", "TestGiveBackRestoresEveryIPv6Profile"
	const ages, silent, silence = "TestLifetimesOfIPv6", "TestTheKernelIsSilentAboutIPv6", "pod/podnet/silence_address.go"
	const deaf = "TestAMutedIPv6AddressIsDeaf"
	return []mutant{
		{silent, pkg, "pod/podnet/take.go", "the pod leaves the group of its address", "\tif err := t.joinGroup(); err != nil {\n\t\treturn err\n\t}\n", ""},
		{"TestAdoptOfIPv6", pkg, "pod/podnet/adopt.go", "a process that goes on leaves the group of the address", " || tx.joinGroup() != nil", ""},
		{"TestNoDetectionAtGiveBack", pkg, file, "the address is given back with duplicate address detection", "a.Flags&^unix.IFA_F_OPTIMISTIC | unix.IFA_F_NODAD", "a.Flags &^ unix.IFA_F_OPTIMISTIC"},
		{ages, pkg, file, "a lifetime of the address is given back as it was", "t.conn.replaceAddress(index, aged)", "t.conn.replaceAddress(index, a)"},
		{ages, pkg, file, "a lifetime of a route is given back as it was", "t.restoreIPv6Route(t.aged(route), ", "t.restoreIPv6Route(route, "},
		{back, pkg, file, "a route loses the address as its source", "return r.Source != address.Addr() && !isPrefixRoute", "return address.IsValid() && !isPrefixRoute"},
		{"TestGiveBackLeavesIPv6RoutesOfOtherInterfaces", pkg, file, "the first route of a slot is replaced", "len(rivals) == 0 || rivals[0].same(bare)", "true"},
		{back, pkg, file, "all permanent addresses move", "if len(taken) == 0 && a.isMovableIPv6()", "if a.isMovableIPv6()"},
		{back, pkg, "pod/podnet/giveback.go", "the kernel's prefix route stays", "t.restoreIPv6Address(), t.removeExtraRoutes()", "t.restoreIPv6Address()"},
		{"TestTakeWaitsForDetection", pkg, file, "a tentative address moves", "have[i].Flags&unix.IFA_F_TENTATIVE == 0:", "i >= 0:"},
		{stays, pkg, file, "an address of an advertisement moves", "unix.IFA_F_TEMPORARY | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_DADFAILED", "unix.IFA_F_DADFAILED"},
		{stays, pkg, file, "a duplicate moves", " | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED", " | unix.IFA_F_DEPRECATED"},
		{stays, pkg, file, "a deprecated address moves", " | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED", " | unix.IFA_F_DADFAILED"},
		{deaf, pkg, silence, "a process of the pod receives packets to the muted address", "\taddRule(conn, chain, expr.VerdictDrop, arrived, isIPv6Destination(a))\n", ""},
		{deaf, pkg, silence, "a process of the pod sends from the muted address", "\t\t\taddRule(conn, outbound, expr.VerdictDrop, isSentBy(l), isIPv6Source(a))\n", ""},
		{deaf, pkg, silence, "the kernel learns from solicitations for the muted address", "[]byte{neighbourSolicitation, neighbourAdvertisement}", "[]byte{neighbourAdvertisement}"},
		{silent, pkg, silence, "all IPv6 of the kernel is silenced", "addIPv6Rules(conn, chain, isEthertype(l, unix.ETH_P_IPV6), a)", "addRule(conn, chain, expr.VerdictDrop, isEthertype(l, unix.ETH_P_IPV6))"},
	}
}
