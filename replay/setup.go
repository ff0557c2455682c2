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

// A Setup says which switch the frames go through: one of Bridge and Delegate.
type Setup struct {
	Bridge   *vswitch.BridgeConfig
	Delegate *vswitch.DelegateConfig
	Holder   vswitch.Holder // who has the address at the start; a Delegate's
	GuestMAC vswitch.MAC    // where the guest's frames go at the start; the zero MAC: to whoever uses the address first
}

// Bounds of a setup; those of the bridge are the command's for a real one.
const (
	portLimit            = 256
	stationLimit         = 1 << 20
	listLimit            = 1 << 16 // routes, rules and neighbours
	smallestMTU, mtuMost = 68, 65535
)

// setupComment is the word before the setup in a section's comment.
const setupComment = "podswitch-setup "

// Ports returns the names of the ports, in the forwarder's order: guest, uplink, pod and server of a Delegate; guest and uplink
// of a Bridge with two ports; and port0, port1 and so on of another Bridge.
func (s *Setup) Ports() []string {
	if s.Delegate != nil {
		return []string{"guest", "uplink", "pod", "server"}
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

// Check finds what no forwarder can be made of.
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
	case c.Ageing <= 0:
		return fmt.Errorf("ageing %v: want more than 0", c.Ageing)
	case c.MaxFrame < 0 || c.MaxFrame > vswitch.MaxFrame:
		return fmt.Errorf("largest frame %d: want 0 to %d", c.MaxFrame, vswitch.MaxFrame)
	case c.Upstream < -1 || c.Upstream >= c.Ports || c.PinnedPort < 0 || c.PinnedPort >= c.Ports:
		return fmt.Errorf("upstream %d, pinned port %d: want ports below %d, or -1 for no upstream", c.Upstream, c.PinnedPort, c.Ports)
	}
	return nil
}

func checkDelegate(c *vswitch.DelegateConfig) error {
	switch {
	case !c.Address.IsValid() || !c.Address.Addr().Is4():
		return fmt.Errorf("address %q: want an IPv4 address with a prefix length", c.Address)
	case !c.Server.Is4():
		return fmt.Errorf("server %q: want an IPv4 address", c.Server)
	case c.MTU < smallestMTU || c.MTU > mtuMost || c.GuestMTU < smallestMTU || c.GuestMTU > mtuMost:
		return fmt.Errorf("mtu %d, of the guest %d: want %d to %d", c.MTU, c.GuestMTU, smallestMTU, mtuMost)
	case max(len(c.Routes), len(c.Rules), len(c.Permanent)) > listLimit:
		return fmt.Errorf("want at most %d routes, rules and neighbours", listLimit)
	}
	for _, r := range c.Routes {
		if r.Gateway.IsValid() && !r.Gateway.Is4() || !r.Destination.IsValid() || r.MTU < 0 || r.MTU > mtuMost {
			return fmt.Errorf("route %s via %s mtu %d: want IPv4, and an MTU of at most %d", r.Destination, r.Gateway, r.MTU, mtuMost)
		}
	}
	for _, r := range c.Rules {
		if !r.Destination.IsValid() {
			return fmt.Errorf("rule %q: want a prefix", r.Destination)
		}
	}
	for _, n := range c.Permanent {
		if !n.Addr.Is4() {
			return fmt.Errorf("neighbour %q: want an IPv4 address", n.Addr)
		}
	}
	return nil
}

// A delegateText is a DelegateConfig in JSON: the function, which JSON does not know, is hidden behind a field of its name.
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

// comment writes the setup as the comment of a section.
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
		err = fmt.Errorf("setup: %d bytes as text: want at most %d, which a comment can hold", len(text), math.MaxUint16-len(setupComment))
	}
	return setupComment + string(text), err
}

// parseSetup reads a section's comment; nil is one that is not ours.
func parseSetup(comment string) (*Setup, error) {
	text, ours := strings.CutPrefix(comment, setupComment)
	if !ours {
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
			s.Delegate = &vswitch.DelegateConfig{} // no field of it was there
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

// guestMAC is who is most likely the guest: the only one that may be, or who had the pod address before any guest.
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

// forwarder makes the switch; used is called when the guest uses an address that it does not hold.
func (s *Setup) forwarder(used func()) (vswitch.Forwarder, *vswitch.Delegate) {
	if s.Bridge != nil {
		return vswitch.NewBridge(*s.Bridge), nil
	}
	c := *s.Delegate
	c.OnUse = used
	d := vswitch.NewDelegate(c)
	d.Hand(s.Holder, s.GuestMAC)
	return d, d
}
