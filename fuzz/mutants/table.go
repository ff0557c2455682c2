package main

import "slices"

// A mutant is one small mistake.
type mutant struct {
	target, pkg  string // the fuzz target or test that must find the mistake, and its package
	file         string // from the top of the repository
	what         string
	right, wrong string // right occurs exactly once in the file and is replaced by wrong
}

// mutants returns the mistakes, at least one for each target.
func mutants() []mutant {
	return slices.Concat(forwarders(), neighbourDiscovery(), limitsOfIPv6(), offloads(), endpoints(), parsers(), dhcpv6(), holders(), interfaces(), handovers())
}

func forwarders() []mutant {
	const pkg, target = "./fuzz", "FuzzDelegate"
	return []mutant{
		{target, pkg, "internal/packet/packet.go", "the total length is not checked against the frame", " || total > len(ip)", ""},
		{target, pkg, "internal/packet/packet.go", "the checksum of an IPv4 header is not checked", " || !hasChecksum(ip, headerLen)", ""},
		{target, pkg, "vswitch/relayed.go", "a DHCP reply goes to any host", "relay == p.Target", "relay != v.address"},
		{target, pkg, "internal/packet/arp.go", "a reply to another host is an announcement", " && a.SenderMAC() == a.TargetMAC()", ""},
		{target, pkg, "vswitch/normalize.go", "a header is not adjusted to the removed tag", "max(f.Offload.CsumStart, packet.VLANTagLen) - packet.VLANTagLen", "f.Offload.CsumStart"},
		{target, pkg, "internal/packet/tcp.go", "the length of an option is not checked", " || i+int(header[i+1]) > len(header)", ""},
		{target, pkg, "vswitch/out.go", "the size of the scratch buffer is not checked", "if o.free+n > chunkSize {", "if o.free > chunkSize {"},
		{target, pkg, "vswitch/neighbour.go", "a forgotten counter", "f.counters(out).Drop(Unresolved, 1)", ""},
		{target, pkg, "vswitch/neighbour_held.go", "a borrowed frame is kept without a copy", "append(memory, f.Data...)", "f.Data[len(memory):]"},
		{target, pkg, "vswitch/neighbour.go", "the newest question makes room", "q.seq < oldest.seq", "q.seq > oldest.seq"},
		{target, pkg, "vswitch/delegate_wire.go", "a comparison is inverted", "a.SenderIP() != v.address", "a.SenderIP() == v.address"},
		{target, pkg, "vswitch/delegate_wire.go", "the pod's IPv6 counts as a loss", "out.Drop(PodIPv6)\n\tcase v == nil:", "out.Drop(Ethertype)\n\tcase v == nil:"},
		{target, pkg, "vswitch/delegate_wire.go", "the switch refuses for the guest", "v.cfg.Refuse && v.isHeldBy(HolderSwitch)", "v.cfg.Refuse"},
		{target, pkg, "vswitch/delegate_guest.go", "a guest is not told of a kept port", "v.sendICMPError(PortGuest, f.Data, &p, errorProhibited, 0, out)", ""},
		{target, pkg, "vswitch/route.go", "the larger of two MTUs applies", "min(r.MTU", "max(r.MTU"},
		{target, pkg, "vnet/check.go", "the offset of a UDP checksum is off by one", "CsumOffset) >= l.transport+udpChecksum", "CsumOffset) > l.transport+udpChecksum"},
		{target, pkg, "vnet/check.go", "a TCP checksum may have any offset", "int(h.CsumStart) == l.transport && h.CsumOffset == tcpChecksum", "int(h.CsumStart) == l.transport"},
		{target, pkg, "internal/packet/tcp.go", "a fragment may overwrite TCP flags", "p.Offset == 8", "p.Offset == 16"},
		{target, pkg, "vswitch/rule.go", "an allow rule for a TCP port applies to SYN only", "(r.allow || ", "(false || "},
		{target, pkg, "vswitch/nd.go", "the router is no router for the guest", "v.cfg.RouterMAC, vnet.DiscoveryRouter, out)", "v.cfg.RouterMAC, 0, out)"},
		{target, pkg, "vswitch/nd.go", "duplicate address detection of the guest is answered", "p.Source == lookup.Key{} && target != v.server, ", ""},
		{target, pkg, "vswitch/nd.go", "an advertisement from the wire passes as known", "MAC(d.MAC).IsZero() && d.Flags&vnet.DiscoverySolicited == 0,\n", "\n"},
		{target, pkg, "vswitch/nd.go", "an advertisement is late", "now-last >= advertiseInterval", "now-last > advertiseInterval"},
		{target, pkg, "internal/packet/icmp.go", "a type of MLD passes", "t >= 141 && t <= 143", "t >= 141 && t < 143"},
		{target, pkg, "vswitch/neighbour.go", "a neighbour never ages", "now-seen >= neighbourReachable && s.Probe(now, probeInterval)", "now-seen >= 1000*neighbourReachable && s.Probe(now, probeInterval)"},
		{target, pkg, "vswitch/neighbour.go", "an answer that does not override replaces a neighbour", "(n.isIPv6 || now-seen < neighbourLock)", "now-seen < neighbourLock"},
		{target, pkg, "vswitch/neighbour.go", "a group is solicited by broadcast", "\t\t\tto = target.GroupMAC(true)\n", ""},
		{target, pkg, "vswitch/delegate_guest.go", "the guest is told of an MTU below 1280", "mtu = max(mtu, minMTU)", ""},
		{target, pkg, "vswitch/delegate_guest.go", "packets to link-local addresses leave", "case v.isIPv6 && p.Target.IsLinkLocal():\n\t\tout.Drop(LinkLocal)\n", ""},
		{target, pkg, "vswitch/rule.go", "a routing header hides the destination", "p.IsRouted || len(t) > 0", "len(t) > 0"},
		{target, pkg, "vnet/icmpv6.go", "neighbour discovery passes a router", " || packet[7] != discoveryHops", ""},
		{target, pkg, "vnet/icmpv6.go", "the checksum of neighbour discovery is not verified", " || Sum(message, icmpv6Sum(packet, len(message))) != 0xffff", ""},
		{target, pkg, "vnet/icmpv6.go", "the group of an address is another one", "copy(group[13:], address[13:])", "copy(group[14:], address[14:])"},
		{"FuzzBridge", pkg, "vswitch/bridge.go", "a forgotten counter", "out.Drop(Hairpin)", ""},
		{"FuzzBridge", pkg, "internal/lookup/table.go", "a comparison of times is off by one", "now < t.nextSweep", "now <= t.nextSweep"},
		{"FuzzBridge", pkg, "vswitch/bridge_loops.go", "both ports of a loop are blocked", "by <= in", "true"},
		{"FuzzBridge", pkg, "vswitch/bridge.go", "a frame leaves at a blocked port", "blocked {\n\t\treturn false", "false && blocked {\n\t\treturn false"},
	}
}

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

func offloads() []mutant {
	const pkg = "./vnet"
	return []mutant{
		{"FuzzOffload", pkg, "vnet/check.go", "a bounds check is two bytes short", "field+2 > len(frame)", "field > len(frame)"},
		{"FuzzOffload", pkg, "vnet/segments.go", "a flag is on one segment too many", "s.index > 0 &&", "s.index > 1 &&"},
		{"FuzzOffload", pkg, "vnet/segments.go", "the payload length of IPv6 stays", "binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ipv6Len))\n\t\treturn", "return"},
		{"FuzzOffload", pkg, "vnet/check.go", "a segment of IPv4 passes as one of IPv6", "l.ethertype != ethertype || length == 0", "length == 0"},
		{"FuzzOffload", pkg, "vnet/segments.go", "fragments over IPv6 count bytes in units of eight", "uint16(offset) // a multiple of 8", "uint16(offset / 8)"},
		{"FuzzOffload", pkg, "vnet/segments.go", "the last fragment has more behind it", "field |= 1", "field &= 1"},
		{"FuzzOffload", pkg, "vnet/tunnel.go", "the outer identification stays", "s.writeNetwork(segment, l)", "writeIPv4Checksum(segment[l.network:l.transport])"},
		{"FuzzOffload", pkg, "vnet/tunnel.go", "a tunnel without a checksum gets one", "binary.BigEndian.Uint16(datagram[udpChecksum:]) != 0", "len(datagram) > udpLen"},
		{"FuzzDivide", pkg, "vnet/big.go", "the identification counts parts", "id := binary.BigEndian.Uint16(p.segments.frame[l.network+4:]) + uint16(before)", "id := binary.BigEndian.Uint16(p.segments.frame[l.network+4:]) + uint16(before/before)"},
		{"FuzzDivide", pkg, "vnet/big.go", "the length of a large packet is not checked", "binary.BigEndian.Uint16(length) == 0 && ", "len(length) > 1 && "},
		{"FuzzDivide", pkg, "vnet/big.go", "a part has more segments than the ingress check takes", ", mostSegments(h.GSOType)) *", ", maxPacket) *"},
		{"FuzzDivide", pkg, "vnet/big.go", "the segments of a large frame are not bounded", "8*mostSegments(h.GSOType)*int(h.GSOSize)", "80*mostSegments(h.GSOType)*int(h.GSOSize)"},
		{"FuzzDivide", pkg, "vnet/big.go", "the hop-by-hop header of a jumbogram stays", "l.ethertype == etherIPv6 && isJumbo", "l.ethertype != etherIPv6 && isJumbo"},
		{"FuzzDivide", pkg, "vnet/big.go", "any hop-by-hop header is removed", " && header[2] == 0xc2 && header[3] == 4", ""},
		{"FuzzDivide", pkg, "vnet/big.go", "the packet begins with the header that was removed", "frame[network+6] = frame[network+ipv6Len] // next header", ""},
		{"FuzzDivide", pkg, "vnet/big.go", "the checksum begins where it did with the header that was removed", "h.CsumStart -= jumboLen", ""},
		{"FuzzDelegate", "./fuzz", "vswitch/normalize.go", "fragments stay as large as their sender wants", "if f.Offload.GSOType != vnet.GSOUDP {", "if f.Offload.GSOType != vnet.GSOUDPL4 {"},
		{"FuzzDelegate", "./fuzz", "vnet/tunnel.go", "the end of the inner packet is not checked", "inner.end == l.end &&", ""},
		{"FuzzDelegate", "./fuzz", "vnet/check.go", "the checksum of TCP in a tunnel may have any offset", " || h.CsumOffset != tcpChecksum", ""},
		{"FuzzDiscovery", pkg, "vnet/icmpv6.go", "an advertisement has the option of a solicitation", "option[0] = optionTargetLink", "option[0] = optionSourceLink"},
		{"FuzzMerge", pkg, "vnet/merge_tcp.go", "the TCP window is not compared", "bytes.Equal(tcpA[14:16], tcpB[14:16]) &&", ""},
		{"FuzzMerge", pkg, "vnet/merge.go", "one bit of the identification is not compared", "id == binary.BigEndian.Uint16(b[identificationAt:])", "id|1 == binary.BigEndian.Uint16(b[identificationAt:])|1"},
		{"FuzzMerge", pkg, "vnet/merge.go", "the flow label of IPv6 is not compared", "native.Uint32(a[flowLabelAt:]) == native.Uint32(b[flowLabelAt:])", "native.Uint16(a[flowLabelAt:]) == native.Uint16(b[flowLabelAt:])"},
		{"FuzzMerge", pkg, "vnet/merge.go", "the traffic class of IPv6 is not compared", "native.Uint32(a[flowLabelAt:]) == native.Uint32(b[flowLabelAt:])", "native.Uint16(a[flowLabelAt+2:]) == native.Uint16(b[flowLabelAt+2:])"},
		{"FuzzMerge", pkg, "vnet/merge.go", "the destination of IPv6 is not compared", "[2 * ipv6AddressLen]byte(a[source6At:]) == [2 * ipv6AddressLen]byte(b[source6At:])", "[ipv6AddressLen]byte(a[source6At:]) == [ipv6AddressLen]byte(b[source6At:])"},
		{"FuzzMerge", pkg, "vnet/merge.go", "the payload length of IPv6 is not compared with the frame", "== len(frame)-transport6", "<= len(frame)-transport6"},
		{"FuzzMerge", pkg, "vnet/merge.go", "an extension header is taken for a transport header", "return length > 0 && r.mayMerge(field)", "return r.mayMerge(field)"},
		{"FuzzMerge", pkg, "vnet/merge.go", "the hop limit of IPv6 is not compared", "native.Uint16(a[nextHeaderAt:]) == native.Uint16(b[nextHeaderAt:]) &&", "a[nextHeaderAt] == b[nextHeaderAt] &&"},
		{"FuzzMerge", pkg, "vnet/merge.go", "a payload larger than the first one is merged", " || payload > r.size", ""},
		{"FuzzMerge", pkg, "vnet/merge.go", "a frame is merged after a smaller one", "payload == r.size && ", ""},
		{"FuzzMerge", pkg, "vnet/merge.go", "a checksum is not verified", "return Checksum(frame[r.transport:], r.pseudoSum(frame)) == 0", "return true"},
		{"FuzzMerge", pkg, "vnet/merge.go", "the sum of a pseudo-header is not verified", "binary.BigEndian.Uint16(field) == Sum(nil, r.pseudoSum(frame))", "len(field) > 0"},
		{"FuzzMerge", pkg, "vnet/merge_udp.go", "a wrong UDP length is accepted", "!= len(datagram)", "> len(datagram)+1"},
		{"FuzzMerge", pkg, "vnet/merge_udp.go", "a datagram without a checksum is merged", "binary.BigEndian.Uint16(datagram[udpChecksum:]) == 0", "false"},
	}
}

func endpoints() []mutant {
	const pkg = "./stack"
	return []mutant{
		{"FuzzNetstack", pkg, "stack/packet.go", "a checksum is wrong", "udp.SetChecksum(sum)", "udp.SetChecksum(sum + 1)"},
		{"FuzzNetstack", pkg, "stack/transmit.go", "a packet leaks", "defer pkt.DecRef()", ""},
		{"FuzzTransmit", pkg, "stack/transmit.go", "a bounds check is four bytes short", "len(frame) < endOfIPv4 ", "len(frame) < endOfIPv4-4 "},
		{"FuzzDNS", pkg, "stack/dns.go", "half of the identifier is not compared", " && reply[0] == query[0]", ""},
	}
}

func parsers() []mutant {
	return []mutant{
		{"FuzzDHCP", "./dhcpsrv", "dhcpsrv/answer.go", "a wrong address is acknowledged", "if asked != x.offer.Address.Addr() {", "if !asked.IsValid() {"},
		{"FuzzDHCP", "./dhcpsrv", "dhcpsrv/options.go", "a lease is longer than the lifetime of the address", "return min(d, end.Sub(now))", "return d"},
		{"FuzzOffer", "./dhcpsrv", "dhcpsrv/names.go", "the limit of a label's length is off by one", "len(label) > 63", "len(label) > 64"},
		{"FuzzDHCP6", "./dhcpsrv", "dhcpsrv/request6.go", "a relay's message is answered", "dhcpv6.MessageType(message[0])\n", "dhcpv6.MessageType(message[0] % 12)\n"},
		{"FuzzDHCP6", "./dhcpsrv", "dhcpsrv/request6.go", "a label's length is computed in one byte", "rest[0] <= maxLabel && int(rest[0]) < len(rest); {\n\t\tend := 1 + int(rest[0])", "int(rest[0]) < len(rest); {\n\t\tend := int(1 + rest[0])"},
		{"FuzzDHCP6", "./dhcpsrv", "dhcpsrv/lease6.go", "a RELEASE of one of two IAs ends the lease", "len(next.IAIDs) == 0", "len(next.IAIDs) <= 1"},
		{"FuzzDHCP6", "./dhcpsrv", "dhcpsrv/reply6.go", "an address is valid for longer than the pod's", "preferred, valid)}", "preferred, x.offer.Lease)}"},
		{"FuzzDHCP6", "./dhcpsrv", "dhcpsrv/reply6.go", "a wrong address is renewed", "address(b, 0, 0)", "address(b, 0, valid)"},
		{"FuzzDHCP6", "./dhcpsrv", "dhcpsrv/answer6.go", "a second MAC gets the address", "&& l.MAC != x.query.MAC && len", "&& l.MAC == x.query.MAC && len"},
		{"FuzzOffer6", "./dhcpsrv", "dhcpsrv/advertisement.go", "a guest makes an address of its own of the prefix", "= 0x80 // flag L", "= 0xc0 // flag L"},
		{"FuzzOffer6", "./dhcpsrv", "dhcpsrv/advertisement.go", "the prefix is valid for longer than the pod address", "max(0, untilEnd(o.Lease, o.Expires, now))", "o.Lease"},
		{"FuzzStream", "./unixport", "unixport/decoder.go", "a bounds check is one byte short", "if to > d.end {", "if to > d.end+1 {"},
		{"FuzzDgram", "./unixport", "unixport/dgram.go", "a frame that is one byte too short is accepted", "len(data) < headerLen:", "len(data) < headerLen-1:"},
		{"FuzzMessages", "./tap", "tap/messages.go", "the room for a VLAN tag is off by one", "!tagged || n < 12", "!tagged || n < 11"},
		{"FuzzModel", "./model", "model/print.go", "a limit is off by one", "i.BootOrder != 0", "i.BootOrder > 1"},
		{"FuzzStateFile", "./pod/podnet", "pod/podnet/statefile_check.go", "a limit is off by one", "len(a.Label) >= unix.IFNAMSIZ", "len(a.Label) > unix.IFNAMSIZ"},
		{"FuzzResolv", "./pod/podnet", "pod/podnet/resolv.go", "more than the first word is read", "words[:1]", "words"},
		{"FuzzAttachment", "./pod/hypervisor", "pod/hypervisor/attachment.go", "a limit is off by one", "len(path) > maxPath:", "len(path) > maxPath+1:"},
		{"FuzzConfig", "./pod/plan", "pod/plan/config.go", "host bits are kept", "prefix.Masked()", "prefix"},
		{"FuzzReadCapture", "./replay", "replay/comment.go", "two fields are swapped", "&h.HdrLen, &h.GSOSize, &h.CsumStart", "&h.GSOSize, &h.HdrLen, &h.CsumStart"},
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

// handovers returns mistakes in the states of a takeover and in the messages between processes.
func handovers() []mutant {
	return []mutant{
		{"FuzzResume", "./vswitch", "vswitch/delegate_state.go", "the smallest length of a frame is not checked", "len(f.Data) < packet.EthernetLen || ", ""},
		{"FuzzSender", "./unixport", "unixport/sender.go", "a wrong length is passed on", "return unsent, s.begun", "return unsent, len(unsent)"},
		{"FuzzHandover", "./unixport", "unixport/sender.go", "bytes are sent twice", "unsent, s.unsent = bytes.Clone(s.unsent), nil", "unsent = bytes.Clone(s.unsent)"},
		{"FuzzState", "./unixport", "unixport/state.go", "a bounds check is too wide", "h.Begun < 0 || h.Begun > vswitch.MaxFrame", "h.Begun < 0"},
		{"FuzzSnapshot", "./pod/dataplane", "pod/dataplane/resume.go", "a flag is lost", "OwnerAbsent: ownerAbsent}", "OwnerAbsent: ownerAbsent && false}"},
		{"FuzzLearned", "./pod/dataplane", "pod/dataplane/learned.go", "nothing answers after a report that is not usable", "if err != nil || a == nil {", "if false {"},
		{"FuzzKeeper", "./pod/keeper", "pod/keeper/takeover.go", "descriptors leak", "l.handover.disposal.add(l.handover.files)", ""},
		{"FuzzControl", "./pod/control", "pod/control/serve.go", "a connection gets more than one answer", "SetKeepAlivesEnabled(false)", "SetKeepAlivesEnabled(true)"},
		{"FuzzReceive", "./pod/grant", "pod/grant/parse.go", "null is accepted", "value.IsNil()", "!value.IsValid()"},
	}
}
