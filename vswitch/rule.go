package vswitch

import (
	"net/netip"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
)

// A Rule allows or denies the guest a destination. A packet socket bypasses the firewall of the pod's kernel, so that the switch must
// enforce such rules itself.
//
// With a port and TCP, a rule that denies matches only packets that open a connection: a client in the guest may use the same port
// number at its own end, and must receive answers.
type Rule struct {
	Destination netip.Prefix `json:"destination"`        // IPv4 or IPv6
	Protocol    uint8        `json:"protocol,omitempty"` // with Port: 6 for TCP, 17 for UDP, 0 for both
	Port        uint16       `json:"port,omitempty"`     // destination port; 0: all packets of all protocols
	Allow       bool         `json:"allow,omitempty"`    // allow the destination, whatever later rules say; false: deny it
}

// A rule is a Rule in the form that the forwarder uses.
type rule struct {
	lookup.Prefix
	protocol uint8
	port     uint16
	allow    bool
}

// A ruleTable has the order of the rules: the first match decides.
type ruleTable []rule

// newRuleTable returns the table of one family.
func newRuleTable(rules []Rule, isIPv6 bool) ruleTable {
	var table ruleTable
	for _, r := range rules {
		if lookup.IsOf(r.Destination.Addr(), isIPv6) {
			table = append(table, rule{lookup.NewPrefix(r.Destination), r.Protocol, r.Port, r.Allow})
		}
	}
	return table
}

// deny reports whether the rules forbid a packet of the guest. A routing header of IPv6 with segments left is always forbidden. If there
// are rules, deny also forbids:
//
//   - packets with a source route, which hides the final destination
//   - fragments that could overwrite the TCP flags of the first fragment (RFC 1858, section 4.2)
//
// Rules with a port do not match later fragments, which have no ports: without the first fragment they cannot be reassembled.
func (t ruleTable) deny(p *packet.Packet, frame []byte) bool {
	if p.IsRouted || len(t) > 0 && (p.IsSourceRouted(frame) || p.OverwritesFlags()) {
		return true
	}
	for i := range t {
		if t[i].matches(p, frame) {
			return !t[i].allow
		}
	}
	return false
}

// matches reports whether the rule applies to the packet; Rule has the exception for TCP.
func (r *rule) matches(p *packet.Packet, frame []byte) bool {
	if !r.Contains(p.Target) {
		return false
	}
	if r.port == 0 {
		return true
	}
	if !p.FirstFragment || p.TargetPort != r.port || r.protocol != 0 && r.protocol != p.Protocol {
		return false
	}
	return p.Protocol == packet.ProtocolUDP || p.Protocol == packet.ProtocolTCP && (r.allow || p.OpensConnection(frame))
}
