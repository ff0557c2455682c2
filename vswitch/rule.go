package vswitch

import "net/netip"

// A Rule says whether the guest may reach a destination. A packet socket bypasses the firewall of the pod's kernel: what such
// a firewall says about the pod has to be said here again.
type Rule struct {
	Destination netip.Prefix `json:"destination"`
	Protocol    uint8        `json:"protocol,omitempty"` // of the port: 6 TCP, whose connections it is about, 17 UDP; 0: both
	Port        uint16       `json:"port,omitempty"`     // destination port; 0: every packet, whatever its protocol
	Allow       bool         `json:"allow,omitempty"`    // the guest may, whatever later rules say
}

// A rule is a Rule in the form that the frame path reads.
type rule struct {
	network, mask uint32
	protocol      uint8
	port          uint16
	allow         bool
}

// A ruleTable is in the order of the rules: the first match decides.
type ruleTable []rule

func newRuleTable(rules []Rule) ruleTable {
	var table ruleTable
	for _, r := range rules {
		if !r.Destination.Addr().Is4() {
			continue
		}
		mask := ^uint32(0) << (32 - r.Destination.Bits())
		table = append(table, rule{ipKey(r.Destination.Addr()) & mask, mask, r.Protocol, r.Port, r.Allow})
	}
	return table
}

// deny tells whether the guest may not send the packet. A later fragment has no ports: it passes rules with one, because
// without the first fragment nobody can use it; but one that could write over the flags of the first is denied (RFC 1858, section
// 4.2). A packet that names the hosts on its way hides the one that it is for.
func (t ruleTable) deny(p *packet, frame []byte) bool {
	if len(t) > 0 && (p.isSourceRouted(frame) || p.isOverFlags()) {
		return true
	}
	for i := range t {
		if t[i].matches(p, frame) {
			return !t[i].allow
		}
	}
	return false
}

// matches tells whether the rule is about the packet. Of TCP, a port that is denied is that of a connection which the guest begins: a
// client may have the same one, and gets its answers.
func (r *rule) matches(p *packet, frame []byte) bool {
	if p.target&r.mask != r.network {
		return false
	}
	if r.port == 0 {
		return true
	}
	if !p.firstFragment || p.targetPort != r.port || r.protocol != 0 && r.protocol != p.protocol {
		return false
	}
	return p.protocol == protocolUDP || p.protocol == protocolTCP && (r.allow || frame[p.transport+13]&(tcpSYN|tcpACK) == tcpSYN)
}

// isOverFlags tells whether the packet is a fragment whose bytes stand where TCP's flags do, at 13: offsets count in 8 bytes.
func (p *packet) isOverFlags() bool { return p.protocol == protocolTCP && p.offset == 8 }

// IPv4 options (RFC 791, section 3.1).
const (
	optionLooseRoute  = 131
	optionStrictRoute = 137
)

// isSourceRouted tells whether the packet has an option that names hosts on its way, or options that cannot be read.
func (p *packet) isSourceRouted(frame []byte) bool {
	options := frame[ethernetLen+ipv4Len : p.transport]
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
