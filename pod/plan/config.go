// Package plan says what would be done to attach a guest to a pod, and why, without doing any of it: it reads the pod interface
// and the VM document, and resolves them into one Plan.
//
// The VM document says which of the two connection methods applies. A plan reads back from its JSON, which podswitch plan
// prints. Wire returns the part that a keeper sends to its switch.
package plan

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/vswitch"
)

// A Config says what to attach to what.
type Config struct {
	Settings
	PodInterface string
	Guest        hypervisor.Attachment
	Mute         bool   // the pod address stays on the pod interface, whose kernel is silenced
	Offload      bool   // the guest takes frames with a checksum to complete and segments to cut
	NoMerge      bool   // frames that continue one another are not merged
	StateDir     string // where the state file is, and the lock
}

// Settings are what of a Config may change while the guest stays attached.
type Settings struct {
	VM        *model.VM
	GuestMAC  vswitch.MAC   // the only MAC that the guest may have; the zero MAC: the document's, or any
	PodMAC    bool          // the guest has the pod interface's MAC, and no other
	HoldAfter time.Duration // how long the guest may be away before the switch answers for it
	KeptPorts []KeptPort
	DenyRules []DenyRule
}

// A KeptPort is a TCP port of the pod address that stays with the pod.
type KeptPort struct {
	Port   uint16 `json:"port"`
	Target string `json:"target"` // HOST:PORT that connections go to
}

// String writes k as ParseKeptPort reads it.
func (k KeptPort) String() string { return fmt.Sprintf("tcp/%d=%s", k.Port, k.Target) }

// ParseKeptPort reads tcp/PORT or tcp/PORT=HOST:PORT; without a target, it is the same port on 127.0.0.1.
func ParseKeptPort(text string) (KeptPort, error) {
	kept, target, hasTarget := strings.Cut(text, "=")
	number, isTCP := strings.CutPrefix(kept, "tcp/")
	port, err := strconv.ParseUint(number, 10, 16)
	if !isTCP || err != nil || port == 0 {
		return KeptPort{}, fmt.Errorf("kept port %q: want tcp/PORT or tcp/PORT=HOST:PORT, with a port from 1 to 65535", text)
	}
	if !hasTarget {
		target = net.JoinHostPort("127.0.0.1", number)
	}
	host, targetPort, err := net.SplitHostPort(target)
	if n, bad := strconv.ParseUint(targetPort, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		return KeptPort{}, fmt.Errorf("kept port %q: the target %q must be HOST:PORT", text, target)
	}
	return KeptPort{Port: uint16(port), Target: target}, nil
}

// A DenyRule names a destination that the guest may not reach.
type DenyRule struct {
	Destination netip.Prefix `json:"destination"`
	Port        uint16       `json:"port,omitempty"` // TCP or UDP; 0: everything
}

// String writes d as ParseDenyRule reads it.
func (d DenyRule) String() string {
	if d.Port == 0 {
		return d.Destination.String()
	}
	return fmt.Sprintf("%s:%d", d.Destination, d.Port)
}

// ParseDenyRule reads CIDR or CIDR:PORT; an address without a prefix length is one host.
func ParseDenyRule(text string) (DenyRule, error) {
	wrong := fmt.Errorf("denied destination %q: want CIDR or CIDR:PORT in IPv4, such as 169.254.169.254/32 or 0.0.0.0/0:22623", text)
	cidr, number, hasPort := strings.Cut(text, ":")
	var d DenyRule
	if hasPort {
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || port == 0 {
			return DenyRule{}, wrong
		}
		d.Port = uint16(port)
	}
	if !strings.Contains(cidr, "/") {
		cidr += "/32"
	}
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil || !prefix.Addr().Is4() {
		return DenyRule{}, wrong
	}
	d.Destination = prefix.Masked()
	return d, nil
}

// pinnedMAC is the only MAC that the guest may have, or the zero MAC.
func (s *Settings) pinnedMAC() vswitch.MAC {
	if s.GuestMAC.IsZero() && len(s.VM.Interface.MAC) == len(s.GuestMAC) {
		return vswitch.MAC(s.VM.Interface.MAC)
	}
	return s.GuestMAC
}
