// Package plan determines how podswitch connects one guest to one pod, and why, without changing anything:
//
//	p, err := plan.Resolve(cfg)
//	fmt.Println(strings.Join(p.Summary(), "\n"))
//
// [Resolve] reads the pod interface and the VM document and returns a [Plan]: the connection method, the guest's configuration, the
// firewall rules, every change to the pod, and warnings. The keeper carries it out. [Preview] is for podswitch plan, [Revise] for a
// takeover with other settings.
//
// A Plan reads back from its JSON, which podswitch plan prints. [Plan.Wire] returns the part that a switch needs, in the form of the
// protocol; [Plan.Delegate] and [Plan.Bridge] return the configuration of its forwarder.
package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A Config describes the connection of a guest to a pod. VM, PodInterface and Guest are required.
type Config struct {
	Settings
	PodInterface string                // the name of the pod interface
	Guest        hypervisor.Attachment // must not be the pod interface
	RouterMAC    vswitch.MAC           // the MAC that the guest sees for every other host; zero: that of the VM document, or one that the pod's MAC gives
	Mute         bool                  // the pod address stays on the pod interface, and the kernel ignores traffic for it
	Silent       bool                  // while the switch holds the pod address, it refuses no TCP and UDP
	Offload      bool                  // the device takes frames with an unfinished checksum or segments to cut, and finishes them; false: podswitch does, in software
	NoMerge      bool                  // do not merge consecutive frames of a flow
	StateDir     string                // the directory of the state file and its lock
	HoldKeeper   time.Duration         // how long the watchdog waits for another keeper; only for a warning
	Families     model.Families        // whose pod addresses move to the guest, if the pod has them; none: both
}

// families returns the families to look at.
func (cfg *Config) families() (list []podnet.Family) {
	for family, f := range map[model.Families]podnet.Family{model.IPv4: podnet.IPv4, model.IPv6: podnet.IPv6} {
		if cfg.Families == 0 || cfg.Families.Has(family) {
			list = append(list, f)
		}
	}
	slices.Sort(list)
	return list
}

// Settings is the part of a Config that a takeover may change.
type Settings struct {
	VM        *model.VM     // read-only
	PinnedMAC vswitch.MAC   // the only MAC that the guest may use; zero: that of the document, or any
	PodMAC    bool          // the guest uses the MAC of the pod interface; PinnedMAC is ignored
	HoldAfter time.Duration // from the loss of the guest until the switch answers for the pod address; 0: at once
	KeptPorts []KeptPort    // each port once
	DenyRules []DenyRule
}

// A DenyRule is a destination that the guest may not reach.
type DenyRule struct {
	Destination netip.Prefix `json:"destination"`    // IPv4 or IPv6, without host bits
	Port        uint16       `json:"port,omitempty"` // of TCP and UDP, in host byte order; 0: all traffic
}

// String returns d in the form that ParseDenyRule reads.
func (d DenyRule) String() string {
	switch {
	case d.Port == 0:
		return d.Destination.String()
	case d.Destination.Addr().Is6():
		return fmt.Sprintf("[%s]:%d", d.Destination, d.Port)
	}
	return fmt.Sprintf("%s:%d", d.Destination, d.Port)
}

// ParseDenyRule reads CIDR or CIDR:PORT. An address without a prefix length is a single host. With a port, an IPv6 destination is in
// brackets. An address without brackets and prefix length that ends like a port is refused: its writer may mean either.
func ParseDenyRule(text string) (DenyRule, error) {
	wrong := fmt.Errorf("denied destination %q: want CIDR or CIDR:PORT, such as 169.254.169.254/32, 0.0.0.0/0:22623, fd00::/8, [fd00::1]:443 or [fd00::/8]:443", text)
	cidr, number := cutPort(text)
	if host, port := cutIPv6Port(text); port != 0 {
		return DenyRule{}, fmt.Errorf("denied destination %q: want [%s]:%d for a port, or %s/128 for the address", text, host, port, text)
	}
	var d DenyRule
	if number != "" {
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || port == 0 {
			return DenyRule{}, wrong
		}
		d.Port = uint16(port)
	}
	prefix, err := netip.ParsePrefix(cidr)
	if address, single := netip.ParseAddr(cidr); single == nil && address.Zone() == "" {
		prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
	}
	if err != nil || prefix.Addr().Is4In6() {
		return DenyRule{}, wrong
	}
	d.Destination = prefix.Masked()
	return d, nil
}

// cutPort cuts a destination before its port. The port is empty if there is none, and "-" if something else is in its place.
func cutPort(text string) (cidr, port string) {
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "]"); ok && text[0] == '[' {
		port, ok := strings.CutPrefix(rest, ":")
		if rest != "" && (!ok || port == "") {
			return inner, "-"
		}
		return inner, port
	}
	if strings.Count(text, ":") > 1 {
		return text, ""
	}
	cidr, port, ok := strings.Cut(text, ":")
	if ok && port == "" {
		port = "-"
	}
	return cidr, port
}

// cutIPv6Port cuts an IPv6 address before its last group, if the rest is an address and the group is a port. The port is 0 otherwise.
func cutIPv6Port(text string) (host netip.Addr, port uint16) {
	end := max(strings.LastIndexByte(text, ':'), 0)
	host, err := netip.ParseAddr(text[:end])
	if err != nil || !host.Is6() {
		return netip.Addr{}, 0
	}
	number, _ := strconv.ParseUint(text[end+1:], 10, 16)
	return host, uint16(number)
}

// resolvePinnedMAC returns the only MAC that the guest may use according to settings and document, or the zero MAC.
func (s *Settings) resolvePinnedMAC() vswitch.MAC {
	if s.PinnedMAC.IsZero() && len(s.VM.Interface.MAC) == len(s.PinnedMAC) {
		return vswitch.MAC(s.VM.Interface.MAC)
	}
	return s.PinnedMAC
}
