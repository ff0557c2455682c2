package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"

	"github.com/podswitch/podswitch/attach"
	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/podnet"
	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vswitch"
)

// A planText is what of a plan a forwarder is made of.
type planText struct {
	Method    string         `json:"method"`
	GuestMAC  vswitch.MAC    `json:"guest_mac"`
	RouterMAC vswitch.MAC    `json:"router_mac"`
	Address   netip.Prefix   `json:"address"`
	Server    netip.Addr     `json:"server"`
	Keep      []attach.Keep  `json:"keep"`
	Rules     []vswitch.Rule `json:"rules"`
	Offer     struct {
		Gateway netip.Addr `json:"gateway"`
		MTU     int        `json:"mtu"`
	} `json:"offer"`
	Identity *podnet.Identity `json:"identity"`
}

// readPlan makes the switch of which a plan says what it is.
func readPlan(file string) (s replay.Setup, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	var p planText
	if err := json.Unmarshal(text, &p); err != nil {
		return s, fmt.Errorf("%w: want what podswitch plan -o json prints", err)
	}
	switch {
	case p.Identity == nil:
		return s, fmt.Errorf("it has no identity: want what podswitch plan -o json prints")
	case p.Method == model.Bridge.String():
		s.Bridge = replayBridge(p.Identity.Link.MTU, p.GuestMAC)
	default:
		s.Delegate = p.delegate()
	}
	return s, nil
}

// delegate is the forwarder's configuration as a run makes it of its plan.
func (p *planText) delegate() *vswitch.DelegateConfig {
	id := p.Identity
	c := &vswitch.DelegateConfig{
		WireMAC: vswitch.MAC(id.Link.MAC), RouterMAC: p.RouterMAC, PinnedMAC: p.GuestMAC, Address: p.Address, Server: p.Server,
		Gateway: p.Offer.Gateway, MTU: id.Link.MTU, GuestMTU: p.Offer.MTU, Rules: p.Rules, NoARP: id.Link.NoARP,
		Routes: attach.Routes(id), Permanent: attach.Permanent(id),
	}
	for _, k := range p.Keep {
		c.KeptTCP = append(c.KeptTCP, k.Port)
	}
	return c
}
