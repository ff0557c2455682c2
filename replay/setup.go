package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/podswitch/podswitch/vswitch"
)

// A Setup is the configuration of a forwarder. Exactly one of Bridge and Delegate must be set.
type Setup struct {
	Bridge   *vswitch.BridgeConfig
	Delegate *vswitch.DelegateConfig // OnUse is ignored
	Holder   vswitch.Holder          // of a Delegate: the first holder of the pod address; the zero value is the kernel
	GuestMAC vswitch.MAC             // of a Delegate: destination of frames to the guest; the zero MAC: the first MAC that uses the address
}

// Limits of a setup. Those of a bridge are the same as the command's.
const (
	portLimit            = 256
	stationLimit         = 1 << 20
	listLimit            = 1 << 16 // routes, rules and neighbours, each
	smallestMTU, mtuMost = 68, 65535
)

// setupComment is the first word of a section's comment that contains a setup as JSON.
const setupComment = "podswitch-setup "

// Ports returns the names of the forwarder's ports, in its order: guest, uplink, pod, server and perhaps egress for a Delegate; guest and uplink
// for a Bridge with two ports; port0, port1 and so on for any other Bridge. The setup must have passed Check.
func (s *Setup) Ports() []string {
	if s.Delegate != nil {
		names := []string{"guest", "uplink", "pod", "server"}
		if s.Delegate.Egress.IsValid() {
			names = append(names, "egress")
		}
		return names
	}
	if s.Bridge.Ports == 2 {
		return []string{"guest", "uplink"}
	}
	names := make([]string, s.Bridge.Ports)
	for i := range names {
		names[i] = fmt.Sprintf("port%d", i)
	}
	return names
}

// Check returns an error if the setup is not valid, and names the field.
func (s *Setup) Check() error {
	switch {
	case (s.Bridge == nil) == (s.Delegate == nil):
		return errors.New("want a bridge or a delegate")
	case s.Bridge != nil:
		return checkBridge(s.Bridge)
	case s.Holder < vswitch.HolderKernel || s.Holder > vswitch.HolderGuest:
		return errors.New("holder: want kernel, switch or guest")
	}
	return checkDelegate(s.Delegate)
}

func checkBridge(c *vswitch.BridgeConfig) error {
	switch {
	case c.Ports < 1 || c.Ports > portLimit:
		return fmt.Errorf("ports %d: want 1 to %d", c.Ports, portLimit)
	case c.Limit < 0 || c.Limit > stationLimit:
		return fmt.Errorf("limit %d: want 0 to %d stations", c.Limit, stationLimit)
	case c.Ageing < 0:
		return fmt.Errorf("ageing %v: want 0, for the default, or more", c.Ageing)
	case c.MaxFrame < 0 || c.MaxFrame > vswitch.MaxFrame:
		return fmt.Errorf("largest frame %d: want 0 to %d", c.MaxFrame, vswitch.MaxFrame)
	case c.Upstream < -1 || c.Upstream >= c.Ports || c.PinnedPort < 0 || c.PinnedPort >= c.Ports:
		return fmt.Errorf("upstream %d, pinned port %d: want ports below %d, or -1 for no upstream", c.Upstream, c.PinnedPort, c.Ports)
	}
	return nil
}

func checkDelegate(c *vswitch.DelegateConfig) error {
	switch {
	case c.AddressIPv6.IsValid() && !c.AddressIPv6.Addr().Is6():
		return fmt.Errorf("address %q: want an IPv6 address with a prefix length", c.AddressIPv6)
	case c.Address.IsValid() && !c.Address.Addr().Is4(), !c.Address.IsValid() && !c.AddressIPv6.IsValid():
		return fmt.Errorf("address %q: want an IPv4 address with a prefix length", c.Address)
	case c.Address.IsValid() && !c.Server.Is4():
		return fmt.Errorf("server %q: want an IPv4 address", c.Server)
	case c.MTU < smallestMTU || c.MTU > mtuMost || c.GuestMTU < smallestMTU || c.GuestMTU > mtuMost:
		return fmt.Errorf("mtu %d, of the guest %d: want %d to %d", c.MTU, c.GuestMTU, smallestMTU, mtuMost)
	case max(len(c.Routes), len(c.Rules), len(c.Permanent)) > listLimit:
		return fmt.Errorf("want at most %d routes, rules and neighbours", listLimit)
	}
	for _, r := range c.Routes {
		if r.Gateway.IsValid() && r.Gateway.Is4() != r.Destination.Addr().Is4() || !r.Destination.IsValid() || r.MTU < 0 || r.MTU > mtuMost {
			return fmt.Errorf("route %s via %s mtu %d: want addresses of one family, and an MTU of at most %d", r.Destination, r.Gateway, r.MTU, mtuMost)
		}
	}
	for _, r := range c.Rules {
		if !r.Destination.IsValid() {
			return fmt.Errorf("rule %q: want a prefix", r.Destination)
		}
	}
	for _, n := range c.Permanent {
		if !n.Addr.IsValid() {
			return fmt.Errorf("neighbour %q: want an IP address", n.Addr)
		}
	}
	return nil
}

// A delegateText is a DelegateConfig in JSON. Its field OnUse hides the function, which has no JSON.
type delegateText struct {
	*vswitch.DelegateConfig
	OnUse *struct{} `json:",omitempty"`
}

type setupText struct {
	Bridge   *vswitch.BridgeConfig `json:"bridge,omitempty"`
	Delegate *delegateText         `json:"delegate,omitempty"`
	Holder   string                `json:"holder,omitempty"`
	GuestMAC vswitch.MAC           `json:"guest_mac,omitzero"`
}

// comment returns the setup as the comment of a section.
func (s *Setup) comment() (string, error) {
	if err := s.Check(); err != nil {
		return "", fmt.Errorf("setup: %w", err)
	}
	t := setupText{Bridge: s.Bridge, GuestMAC: s.GuestMAC}
	if s.Delegate != nil {
		t.Delegate, t.Holder = &delegateText{DelegateConfig: s.Delegate}, s.Holder.String()
	}
	text, err := json.Marshal(t)
	if err == nil && len(setupComment)+len(text) > math.MaxUint16 {
		err = fmt.Errorf("setup: %d bytes as JSON: want at most %d, the longest comment", len(text), math.MaxUint16-len(setupComment))
	}
	return setupComment + string(text), err
}

// parseSetup returns the setup in a section's comment, or nil if the comment contains none.
func parseSetup(comment string) (*Setup, error) {
	text, isSetup := strings.CutPrefix(comment, setupComment)
	if !isSetup {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	var t setupText
	if err := decoder.Decode(&t); err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	s := &Setup{Bridge: t.Bridge, GuestMAC: t.GuestMAC}
	if t.Delegate != nil {
		s.Delegate = t.Delegate.DelegateConfig
		if s.Delegate == nil {
			s.Delegate = &vswitch.DelegateConfig{} // the object had no field
		}
	}
	if t.Holder != "" {
		var err error
		if s.Holder, err = ParseHolder(t.Holder); err != nil {
			return nil, fmt.Errorf("setup: %w", err)
		}
	}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	return s, nil
}

// guestMAC returns the most likely MAC of the guest: the configured or pinned one, or the MAC that the pod itself uses.
func (s *Setup) guestMAC() vswitch.MAC {
	switch {
	case !s.GuestMAC.IsZero():
		return s.GuestMAC
	case s.Bridge != nil:
		return s.Bridge.Pinned
	case !s.Delegate.PinnedMAC.IsZero():
		return s.Delegate.PinnedMAC
	}
	return s.Delegate.WireMAC
}

// forwarder returns a new forwarder, also as a Delegate if it is one. It calls onUse when the guest uses the pod address without being its
// holder.
func (s *Setup) forwarder(onUse func()) (vswitch.Forwarder, *vswitch.Delegate) {
	if s.Bridge != nil {
		return vswitch.NewBridge(*s.Bridge), nil
	}
	c := *s.Delegate
	c.OnUse = func(*vswitch.Family) { onUse() }
	d := vswitch.NewDelegate(c)
	for _, v := range d.Families() {
		v.SetHolder(s.Holder, s.GuestMAC)
	}
	return d, d
}
