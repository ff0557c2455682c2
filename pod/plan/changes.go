package plan

import (
	"fmt"

	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
)

// portChanges returns the changes that opening the ports makes, one sentence each.
func portChanges(cfg Config, p *Plan) []string {
	mode := "promiscuous mode"
	if p.UplinkOwnFrames() {
		mode = "all-multicast mode"
	}
	return []string{guestChange(cfg, p), fmt.Sprintf("Open a packet socket on %s in %s.", p.Identity.Link.Name, mode)}
}

func guestChange(cfg Config, p *Plan) string {
	switch cfg.Guest.Kind {
	case hypervisor.KindStream, hypervisor.KindDgram:
		return fmt.Sprintf("Create the unix socket of %s.", cfg.Guest)
	case hypervisor.KindFD:
		return fmt.Sprintf("Use the inherited descriptor %s.", cfg.Guest.Name)
	case hypervisor.KindPacket:
		return fmt.Sprintf("Open a packet socket on %s in promiscuous mode, set the device up, and silence the pod's kernel on it with nftables tables.", cfg.Guest.Name)
	}
	return fmt.Sprintf("Open the tap %s with MTU %d; create it if it does not exist.", cfg.Guest.Name, p.GuestMTU)
}

// egressChanges returns the changes for the way out of the pod's own processes, which may be nil.
func egressChanges(e *podnet.Egress) []string {
	if e == nil {
		return nil
	}
	return []string{fmt.Sprintf("Create the tap %s with the address %s and routes to %s, which the kernel removes when podswitch ends.", e.Device, e.Address, join(e.Routes))}
}

// addressChanges returns the changes that moving or muting the pod address makes, one sentence each.
func addressChanges(id *podnet.Identity, mute bool) []string {
	if mute {
		return id.MuteChanges()
	}
	return id.Changes()
}
