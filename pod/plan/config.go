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
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/vswitch"
)

// A Config describes the connection of a guest to a pod. VM, PodInterface and Guest are required.
type Config struct {
	Settings
	PodInterface string                // the name of the pod interface
	Guest        hypervisor.Attachment // must not be the pod interface
	Mute         bool                  // the pod address stays on the pod interface, and the kernel ignores traffic for it
	Silent       bool                  // while the switch holds the pod address, it refuses no TCP and UDP
	Offload      bool                  // the device takes frames with an unfinished checksum or segments to cut, and finishes them; false: podswitch does, in software
	NoMerge      bool                  // do not merge consecutive frames of a flow
	StateDir     string                // the directory of the state file and its lock
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

// A KeptPort is a TCP port of the pod address that stays with the pod's own processes.
type KeptPort struct {
	Port   uint16 `json:"port"`   // not 0, in host byte order
	Target string `json:"target"` // HOST:PORT, the destination of connections to the port

	Proxy bool `json:"proxy,omitempty"` // the target gets a header of the PROXY protocol, version 2, with the client's address
}

// String returns k in the form that ParseKeptPort reads.
func (k KeptPort) String() string {
	text := fmt.Sprintf("tcp/%d=%s", k.Port, k.Target)
	if k.Proxy {
		text += keptProxy
	}
	return text
}

// keptProxy is the end of a kept port's text whose target gets a PROXY header.
const keptProxy = ",proxy"

// ParseKeptPort reads tcp/PORT or tcp/PORT=HOST:PORT, with ",proxy" behind it or not. Without a target, connections go to the same port of
// 127.0.0.1.
func ParseKeptPort(text string) (KeptPort, error) {
	withoutOption, isProxy := strings.CutSuffix(text, keptProxy)
	kept, target, hasTarget := strings.Cut(withoutOption, "=")
	number, isTCP := strings.CutPrefix(kept, "tcp/")
	port, err := strconv.ParseUint(number, 10, 16)
	if !isTCP || err != nil || port == 0 {
		return KeptPort{}, fmt.Errorf("kept port %q: want tcp/PORT[=HOST:PORT][,proxy], with a port from 1 to 65535", text)
	}
	if !hasTarget {
		target = net.JoinHostPort("127.0.0.1", number)
	}
	host, targetPort, err := net.SplitHostPort(target)
	if n, bad := strconv.ParseUint(targetPort, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		return KeptPort{}, fmt.Errorf("kept port %q: target %q: want HOST:PORT", text, target)
	}
	return KeptPort{Port: uint16(port), Target: target, Proxy: isProxy}, nil
}

// A DenyRule is a destination that the guest may not reach.
type DenyRule struct {
	Destination netip.Prefix `json:"destination"`    // IPv4, without host bits
	Port        uint16       `json:"port,omitempty"` // of TCP and UDP, in host byte order; 0: all traffic
}

// String returns d in the form that ParseDenyRule reads.
func (d DenyRule) String() string {
	if d.Port == 0 {
		return d.Destination.String()
	}
	return fmt.Sprintf("%s:%d", d.Destination, d.Port)
}

// ParseDenyRule reads CIDR or CIDR:PORT. An address without a prefix length is a single host.
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

// resolvePinnedMAC returns the only MAC that the guest may use according to settings and document, or the zero MAC.
func (s *Settings) resolvePinnedMAC() vswitch.MAC {
	if s.PinnedMAC.IsZero() && len(s.VM.Interface.MAC) == len(s.PinnedMAC) {
		return vswitch.MAC(s.VM.Interface.MAC)
	}
	return s.PinnedMAC
}
