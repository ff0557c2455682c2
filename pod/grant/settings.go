package grant

import (
	"encoding/json"
	"fmt"
)

// Settings are what a takeover may change. Every field has the text of a flag of podswitch run, which the flag's own parser
// reads. All of them count: a field without a value is a flag that was not given.
type Settings struct {
	Document  *string  `json:"document,omitempty"`  // text of the VM document, YAML or JSON; absent: no document was named
	Interface string   `json:"interface,omitempty"` // name of the interface in the document; empty: the only one
	GuestMAC  string   `json:"guest_mac,omitempty"` // value of --guest-mac: MAC, or "pod"; empty: the document's, or any
	HoldAfter string   `json:"hold_after"`          // duration with units, as in 30s
	Keep      []string `json:"keep,omitempty"`      // kept ports, in the form of --keep
	Deny      []string `json:"deny,omitempty"`      // denied destinations, CIDR or CIDR:PORT, with IPv6 in brackets before a port
}

// Encode returns the form for Hello.Settings; nil for nil.
func (s *Settings) Encode() (json.RawMessage, error) {
	if s == nil {
		return nil, nil
	}
	return json.Marshal(s)
}

// ParseSettings reads what Encode wrote. It refuses unknown fields. The values are the caller's to check.
func ParseSettings(text json.RawMessage) (*Settings, error) {
	s := new(Settings)
	if err := decode(text, s); err != nil {
		return nil, fmt.Errorf("settings of a takeover: %w", err)
	}
	return s, nil
}
