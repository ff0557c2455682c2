package packet

// IPv4 options (RFC 791, section 3.1).
const (
	optionLooseRoute  = 131
	optionStrictRoute = 137
)

// IsSourceRouted reports whether the packet has a source route option, or malformed options.
func (p *Packet) IsSourceRouted(frame []byte) bool {
	if p.IsIPv6 {
		return false
	}
	options := frame[EthernetLen+IPv4Len : p.Transport]
	for len(options) > 0 && options[0] != optionEnd {
		if options[0] == optionNoop {
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) ||
			options[0] == optionLooseRoute || options[0] == optionStrictRoute {
			return true
		}
		options = options[options[1]:]
	}
	return false
}
