package dataplane

import (
	"errors"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/vswitch"
)

// change implements mode. The guest learns of it with the next answer of the DHCP server, and of a lower MTU by ICMP.
func (d *delegation) change(c *grant.Changed) error {
	if c.Forwarder.Delegate == nil {
		return errors.New("the keeper has changed the connection method")
	}
	p, err := readDelegate(c.Forwarder.Delegate)
	if err != nil {
		return err
	}
	p.status.Refused = c.Refused
	d.delegate.SetUplink(p.forwarder)
	d.tooBig.note()
	if d.leases != nil && p.offer != nil {
		d.leases.setOffer(p.offer)
	}
	if d.leasesIPv6 != nil && p.offerIPv6 != nil {
		d.leasesIPv6.setOffer(p.offerIPv6)
	}
	d.known.Store(&p.status)
	d.log.Info("pod network changed", zap.Int("mtu", p.status.MTU), zap.Stringer("wire_mac", p.status.WireMAC), zap.String("gateway", p.status.Gateway),
		zap.Int("routes", len(p.forwarder.Routes)), zap.Int("permanent_neighbours", len(p.forwarder.Permanent)))
	return nil
}

func (l *leases) setOffer(o *dhcpsrv.Offer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offer = o
}

func (l *leasesIPv6) setOffer(o *dhcpsrv.Offer6) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offer = o
}

// change implements mode. A learning switch has no address of its own to send ICMP errors from, and the guest has no lease: only the pod's MAC
// matters to it.
func (b *bridging) change(c *grant.Changed) error {
	if c.Forwarder.Bridge == nil || !b.hasPod {
		return errors.New("the keeper has changed the connection method")
	}
	return b.setPod(c.Forwarder.Bridge.Pod, c.Refused)
}

// setPod makes a pod the one at the uplink; nil: there is none.
func (b *bridging) setPod(pod *grant.Pod, refused []string) (err error) {
	known := control.Status{}
	if pod != nil {
		if known, err = readPod(pod); err != nil {
			return err
		}
		if before := b.known.Load(); before != nil && before.WireMAC != known.WireMAC {
			b.bridge.RemoveStatic(before.WireMAC) // the guest may have it from now on
			b.bridge.Forget(vswitch.PortUplink)
		}
		// A frame to the pod's kernel is not flooded to the guest.
		b.bridge.SetStatic(known.WireMAC, vswitch.PortUplink, b.now())
	}
	known.Settings, known.Refused = &control.Settings{Method: control.MethodBridge, PinnedMAC: b.pinned}, refused
	b.known.Store(&known)
	return nil
}
