package main

import "slices"

// A mutant is one small mistake.
type mutant struct {
	target, pkg  string // who has to find it
	file         string
	what         string
	right, wrong string // the text before, which stands once in the file, and after
}

// mutants are the mistakes: at least one for each target.
func mutants() []mutant {
	return slices.Concat(forwarders(), offloads(), endpoints(), parsers(), handovers())
}

func forwarders() []mutant {
	const pkg, target = "./fuzz", "FuzzDelegate"
	return []mutant{
		{target, pkg, "vswitch/ipv4.go", "no bounds check of the total length", " || total > len(ip)", ""},
		{target, pkg, "vswitch/mss.go", "no bounds check of an option's length", " || i+int(header[i+1]) > len(header)", ""},
		{target, pkg, "vswitch/out.go", "no bounds check of the room", "if o.used+n > len(o.scratch) {", "if o.used > len(o.scratch) {"},
		{target, pkg, "vswitch/neighbour.go", "a forgotten counter", "f.in.Drop(Unresolved, 1)", ""},
		{target, pkg, "vswitch/neighbour.go", "a borrowed frame is kept", "bytes.Clone(f.Data)", `bytes.TrimSuffix(f.Data, nil)`},
		{target, pkg, "vswitch/delegate_wire.go", "a comparison swapped", "a.senderIP() != d.address", "a.senderIP() == d.address"},
		{target, pkg, "vswitch/route.go", "the wrong one of two limits", "min(", "max("},
		{target, pkg, "vnet/check.go", "off by one at the checksum field", "CsumOffset) >= l.transport+udpChecksum", "CsumOffset) > l.transport+udpChecksum"},
		{target, pkg, "vnet/check.go", "TCP's checksum may stand anywhere", "int(h.CsumStart) == l.transport && h.CsumOffset == tcpChecksum", "int(h.CsumStart) == l.transport"},
		{target, pkg, "vswitch/rule.go", "a fragment over the flags of the first one", "p.offset == 8", "p.offset == 16"},
		{target, pkg, "vswitch/rule.go", "what is allowed is so for one frame", "(r.allow || ", "(false || "},
		{"FuzzBridge", pkg, "vswitch/bridge.go", "a forgotten counter", "out.Drop(Hairpin)", ""},
		{"FuzzBridge", pkg, "vswitch/table.go", "off by one in time", "now < t.nextSweep", "now <= t.nextSweep"},
	}
}

func offloads() []mutant {
	const pkg = "./vnet"
	return []mutant{
		{"FuzzOffload", pkg, "vnet/check.go", "a bounds check two bytes short", "field+2 > len(frame)", "field > len(frame)"},
		{"FuzzOffload", pkg, "vnet/segments.go", "a flag on one segment too many", "s.index > 0 &&", "s.index > 1 &&"},
		{"FuzzMerge", pkg, "vnet/merge_tcp.go", "the window is not compared", "bytes.Equal(tcpA[14:16], tcpB[14:16]) &&", ""},
		{"FuzzMerge", pkg, "vnet/merge.go", "a bit of the identification is not compared", "id == binary.BigEndian.Uint16(b[identificationAt:])", "id|1 == binary.BigEndian.Uint16(b[identificationAt:])|1"},
		{"FuzzMerge", pkg, "vnet/merge.go", "a larger payload behind a smaller one", " || payload > r.size", ""},
		{"FuzzMerge", pkg, "vnet/merge.go", "more behind what is smaller", "payload == r.size && ", ""},
		{"FuzzMerge", pkg, "vnet/merge.go", "a checksum is not verified", "return Checksum(frame[transportAt:], pseudoSum(frame)) == 0", "return true"},
		{"FuzzMerge", pkg, "vnet/merge.go", "the sum of a pseudo-header is not verified", "binary.BigEndian.Uint16(field) == Sum(nil, pseudoSum(frame))", "len(field) > 0"},
		{"FuzzMerge", pkg, "vnet/merge_udp.go", "a length that lies", "!= len(frame)-transportAt", "> len(frame)-transportAt+1"},
		{"FuzzMerge", pkg, "vnet/merge_udp.go", "no checksum becomes one", "binary.BigEndian.Uint16(frame[udpChecksumAt:]) == 0", "false"},
	}
}

func endpoints() []mutant {
	const pkg = "./stack"
	return []mutant{
		{"FuzzNetstack", pkg, "stack/dhcp.go", "a wrong checksum", "udp.SetChecksum(sum)", "udp.SetChecksum(sum + 1)"},
		{"FuzzNetstack", pkg, "stack/transmit.go", "a packet leaks", "defer pkt.DecRef()", ""},
		{"FuzzTransmit", pkg, "stack/transmit.go", "a bounds check four bytes short", "len(frame) < endOfIPv4 ", "len(frame) < endOfIPv4-4 "},
		{"FuzzDNS", pkg, "stack/dns.go", "half of the identifier is not compared", " && reply[0] == query[0]", ""},
	}
}

func parsers() []mutant {
	return []mutant{
		{"FuzzDHCP", "./dhcpsrv", "dhcpsrv/answer.go", "a wrong address is given", "if asked != x.offer.Address.Addr() {", "if !asked.IsValid() {"},
		{"FuzzOffer", "./dhcpsrv", "dhcpsrv/names.go", "off by one at a label's length", "len(label) > 63", "len(label) > 64"},
		{"FuzzStream", "./unixport", "unixport/decoder.go", "a bounds check one byte short", "if to > d.end {", "if to > d.end+1 {"},
		{"FuzzDgram", "./unixport", "unixport/dgram.go", "a frame one byte too short", "len(data) < headerLen:", "len(data) < headerLen-1:"},
		{"FuzzMessages", "./tap", "tap/messages.go", "off by one at the room for a tag", "!tagged || n < 12", "!tagged || n < 11"},
		{"FuzzModel", "./model", "model/print.go", "off by one", "i.BootOrder != 0", "i.BootOrder > 1"},
		{"FuzzStateFile", "./pod/podnet", "pod/podnet/statefile_check.go", "off by one", "len(a.Label) >= unix.IFNAMSIZ", "len(a.Label) > unix.IFNAMSIZ"},
		{"FuzzResolv", "./pod/podnet", "pod/podnet/resolv.go", "more than the first word", "words[:1]", "words"},
		{"FuzzAttachment", "./pod/hypervisor", "pod/hypervisor/attachment.go", "off by one", "len(path) > maxPath:", "len(path) > maxPath+1:"},
		{"FuzzConfig", "./pod/plan", "pod/plan/config.go", "host bits are kept", "prefix.Masked()", "prefix"},
		{"FuzzReadCapture", "./replay", "replay/comment.go", "two fields swapped", "&h.HdrLen, &h.GSOSize, &h.CsumStart", "&h.GSOSize, &h.HdrLen, &h.CsumStart"},
	}
}

// handovers are mistakes in what one process leaves to another, and in what two processes say.
func handovers() []mutant {
	return []mutant{
		{"FuzzResume", "./vswitch", "vswitch/delegate_state.go", "a length is not checked", "len(f.Data) < ethernetLen || ", ""},
		{"FuzzSender", "./unixport", "unixport/sender.go", "the wrong length", "return unsent, s.begun", "return unsent, len(unsent)"},
		{"FuzzHandover", "./unixport", "unixport/sender.go", "bytes are sent twice", "unsent, s.unsent = bytes.Clone(s.unsent), nil", "unsent = bytes.Clone(s.unsent)"},
		{"FuzzState", "./unixport", "unixport/state.go", "a bounds check is too wide", "h.Begun < 0 || h.Begun > vswitch.MaxFrame", "h.Begun < 0"},
		{"FuzzSnapshot", "./pod/dataplane", "pod/dataplane/resume.go", "a flag is lost", "Expires: a.Lease.Expires}, a.Gone", "Expires: a.Lease.Expires}, false"},
		{"FuzzKeeper", "./pod/keeper", "pod/keeper/takeover.go", "descriptors leak", "_ = grant.CloseFiles(l.handover.files)", ""},
		{"FuzzControl", "./pod/control", "pod/control/serve.go", "more than one answer", "SetKeepAlivesEnabled(false)", "SetKeepAlivesEnabled(true)"},
		{"FuzzReceive", "./pod/grant", "pod/grant/parse.go", "null is accepted", "value.IsNil()", "!value.IsValid()"},
	}
}
