package oracle

// layers has the offsets of a frame's headers in bytes, which the offload header refers to.
type layers struct {
	ethertype uint16 // behind at most two tags
	network   int
	transport int
	end       int // of the IP packet; 0 if its length is wrong
	protocol  byte
	fragment  bool
	offset    int  // of an IPv6 fragment
	routed    bool // an IPv6 routing header has segments left
}

// readLayers reports false for a frame that ends within its headers, or has inconsistent headers.
func readLayers(frame []byte) (layers, bool) {
	if len(frame) < ethernetHeader {
		return layers{}, false
	}
	at := 12
	for tag := 0; tag < 2 && isTag(word(frame, at)); tag++ {
		at += 4
		if len(frame) < at+2 {
			return layers{}, false
		}
	}
	l := layers{ethertype: word(frame, at), network: at + 2}
	switch l.ethertype {
	case typeIPv4:
		return readIPv4Layers(l, frame[l.network:])
	case typeIPv6:
		return readIPv6Layers(l, frame[l.network:])
	}
	l.transport, l.end = l.network, len(frame)
	return l, true
}

// readIPv4Layers parses the header of RFC 791, section 3.1.
func readIPv4Layers(l layers, ip []byte) (layers, bool) {
	if len(ip) < 20 || ip[0]>>4 != 4 {
		return l, false
	}
	header := int(ip[0]%16) * 4
	if header < 20 || header > len(ip) {
		return l, false
	}
	l.protocol, l.transport = ip[9], l.network+header
	l.fragment = word(ip, 6)&0x3fff != 0 // more fragments, or an offset
	if total := int(word(ip, 2)); header <= total && total <= len(ip) {
		l.end = l.network + total
	}
	return l, true
}

// readIPv6Layers parses the headers of RFC 8200, sections 3 and 4: at most eight extension headers, and none behind the fragment header of
// a later fragment.
func readIPv6Layers(l layers, ip []byte) (layers, bool) {
	if len(ip) < 40 || ip[0]>>4 != 6 {
		return l, false
	}
	if total := 40 + int(word(ip, 4)); total <= len(ip) {
		l.end = l.network + total
	}
	next, at := ip[6], 40
	for headers := 0; isExtension(next); headers++ {
		if headers == 8 || len(ip) < at+8 {
			return l, false
		}
		this, later := next, false
		next = ip[at]
		switch this {
		case 51: // authentication: RFC 4302 counts words, less two
			at += 4 * (int(ip[at+1]) + 2)
		case 44: // fragment
			later = word(ip, at+2)/8 != 0
			l.fragment = l.fragment || later || ip[at+3]%2 != 0
			l.offset = int(word(ip, at+2)/8) * 8
			at += 8
		default:
			l.routed = l.routed || this == 43 && ip[at+3] != 0
			at += 8 * (int(ip[at+1]) + 1)
		}
		if later {
			break
		}
	}
	if at > len(ip) {
		return l, false
	}
	l.protocol, l.transport = next, l.network+at
	if l.end < l.transport {
		l.end = 0
	}
	return l, true
}

func isExtension(protocol byte) bool {
	switch protocol {
	case 0, 43, 44, 51, 60: // hop by hop, routing, fragment, authentication, destination
		return true
	}
	return false
}
