package oracle

import "github.com/podswitch/podswitch/vswitch"

// isRelayed reports whether a packet is a whole DHCP message between a relay and its server, both at port 67: a request (1) that names a
// relay, or a reply (2) to the relay that it names. A checksum to complete must be the datagram's own.
func (d *Family) isRelayed(f vswitch.Frame, p packet, op byte) bool {
	if p.six || p.protocol != udp || p.from != 67 || p.to != 67 || p.fragment || len(p.segment) < 8+28 || f.Offload.GSOType != noGSO {
		return false
	}
	start := int(f.Offload.CsumStart)
	if f.Offload.Flags&needsChecksum != 0 && (start != ethernetHeader+len(p.header) || f.Offload.CsumOffset != 6) {
		return false
	}
	message := p.segment[8:]
	relay := address(message[24:28])
	if isMartian(relay) || isGroupIP(relay) || d.isBroadcast(relay) {
		return false
	}
	return message[0] == op && (op == 1 || relay == p.target)
}
