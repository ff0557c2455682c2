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
	return slices.Concat(forwarders(), neighbourDiscovery(), limitsOfIPv6(), offloads(), endpoints(), parsers(), dhcpv6(), holders(), routesOfIPv6(), statuses(), interfaces(), handovers())
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

// handovers returns mistakes in the states of a takeover and in the messages between processes.
func handovers() []mutant {
	return []mutant{
		{"FuzzResume", "./vswitch", "vswitch/delegate_state.go", "the smallest length of a frame is not checked", "len(f.Data) < packet.EthernetLen || ", ""},
		{"TestAdvertisementOfATakeover", "./pod/dataplane", "vswitch/delegate_state.go", "a switch that takes over sends no router advertisement", "\tv.lastUse.clear()\n", "\tv.lastUse.clear()\n\tv.advertised.store(now)\n"},
		{"TestAdvertisementOfATakeover", "./pod/dataplane", "pod/dataplane/wire.go", "the guest's router ends with its switch", "p.offerIPv6.RouterAdvertisement(time.Now())", "(&dhcpsrv.Offer6{RouterMAC: p.offerIPv6.RouterMAC, Address: p.offerIPv6.Address}).RouterAdvertisement(time.Now())"},
		{"FuzzSender", "./unixport", "unixport/sender.go", "a wrong length is passed on", "return unsent, s.begun", "return unsent, len(unsent)"},
		{"FuzzHandover", "./unixport", "unixport/sender.go", "bytes are sent twice", "unsent, s.unsent = bytes.Clone(s.unsent), nil", "unsent = bytes.Clone(s.unsent)"},
		{"FuzzState", "./unixport", "unixport/state.go", "a bounds check is too wide", "h.Begun < 0 || h.Begun > vswitch.MaxFrame", "h.Begun < 0"},
		{"FuzzSnapshot", "./pod/dataplane", "pod/dataplane/resume.go", "a flag is lost", "now := leases[i]", "now := familyState{Lease: leases[i].Lease}"},
		{"TestLearnedAtOneTime", "./pod/dataplane", "pod/dataplane/resume.go", "a report mixes two times", "	d.mu.Lock()\n	defer d.mu.Unlock()\n	state := &addressState{Delegate: forwarder()}", "	state := &addressState{Delegate: forwarder()}\n	d.mu.Lock()\n	defer d.mu.Unlock()"},
		{"FuzzLearned", "./pod/dataplane", "pod/dataplane/learned.go", "nothing answers after a report that is not usable", "if err != nil || a == nil {", "if false {"},
		{"FuzzKeeper", "./pod/keeper", "pod/keeper/takeover.go", "descriptors leak", "l.handover.disposal.add(l.handover.files)", ""},
		{"FuzzControl", "./pod/control", "pod/control/serve.go", "a connection gets more than one answer", "SetKeepAlivesEnabled(false)", "SetKeepAlivesEnabled(true)"},
		{"FuzzReceive", "./pod/grant", "pod/grant/parse.go", "null is accepted", "value.IsNil()", "!value.IsValid()"},
	}
}
