package dataplane

import (
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/vswitch"
)

// warnAfter is how long a guest may take to boot and to ask for the address before a warning is logged.
const warnAfter = 60 * time.Second

// warnIfSilent logs once, warnAfter after the start, that no guest has the address, and what to look at.
func (d *delegation) warnIfSilent() {
	if d.hasWarned || d.clock() < warnAfter {
		return
	}
	d.hasWarned = true
	var asked, claimed bool
	for _, a := range d.addresses {
		asked = asked || a.leases.wasAsked()
		d.mu.Lock()
		claimed = claimed || a.state != waiting
		d.mu.Unlock()
	}
	if claimed {
		return
	}
	port := d.ports[vswitch.PortGuest]
	absent := port.link.state() != control.LinkUp
	frames := port.Counters().RxFrames.Load()
	d.log.Warn("no guest has the pod address yet", zap.String("guest", d.devices[vswitch.PortGuest].port.Spec),
		zap.Uint64("frames_from_guest", frames), zap.String("look_at", whatToLookAt(absent, frames, asked)))
}

// whatToLookAt returns where the search for a silent guest begins.
func whatToLookAt(absent bool, frames uint64, asked bool) string {
	switch {
	case absent:
		return "the hypervisor: it does not run, or is not attached to this device"
	case frames == 0:
		return "the guest: it has not sent a frame (is its network card this one, with a driver, and up?)"
	case asked:
		return "the DHCP messages above, and the guest's DHCP client: it has asked for the address and has not accepted it"
	}
	return "the guest's network configuration: it sends frames, and has not asked for the address by DHCP (podswitch status shows the drops)"
}
