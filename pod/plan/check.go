package plan

import (
	"fmt"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// checkInterface checks that the pod interface suits cfg.
func checkInterface(cfg Config, id *podnet.Identity) error {
	switch {
	case cfg.Guest.Name == id.Link.Name:
		return &ConflictError{fmt.Sprintf("--guest %s is the pod interface itself: want another device", cfg.Guest)}
	case !id.Link.Ethernet:
		return &missing.Error{What: "attach to " + id.Link.Name, Need: "an Ethernet interface", Give: "select another one with --pod-interface"}
	case cfg.PodMAC && id.Link.MAC == (podnet.MAC{}):
		return &missing.Error{What: "give the guest the MAC of " + id.Link.Name, Need: "an interface with a MAC", Give: "omit --guest-mac pod"}
	}
	return nil
}

// checkBridge rejects settings that do not apply to a plain bridge.
func (p *Plan) checkBridge(cfg Config) error {
	switch {
	case p.PinnedMAC == vswitch.MAC(p.Identity.Link.MAC):
		return &ConflictError{"the guest cannot have the MAC of the pod interface: with a plain bridge the pod keeps it (want another MAC, or delegateIp)"}
	case !cfg.RouterMAC.IsZero():
		return &ConflictError{fmt.Sprintf("--router-mac %s needs delegateIp: with a plain bridge the guest sees the MACs of the other hosts", cfg.RouterMAC)}
	case len(cfg.KeptPorts) > 0 || len(cfg.DenyRules) > 0 || cfg.Mute:
		return &ConflictError{"--keep, --deny and --address mute need delegateIp: with a plain bridge the pod keeps its address"}
	}
	return nil
}

// A ConflictError is an error of settings that exclude each other. The command exits with code 2 for it.
type ConflictError struct{ text string }

func (e *ConflictError) Error() string { return e.text }
