package attach

import (
	"slices"

	"github.com/podswitch/podswitch/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// forwarderConfig is what the forwarder has to know.
func (d *delegation) forwarderConfig() vswitch.DelegateConfig {
	id := d.plan.Identity
	c := vswitch.DelegateConfig{
		WireMAC: vswitch.MAC(id.Link.MAC), RouterMAC: d.plan.RouterMAC, PinnedMAC: d.plan.GuestMAC,
		Address: d.plan.podAddress, Server: d.plan.Offer.Server, Gateway: d.plan.Offer.Gateway,
		MTU: id.Link.MTU, GuestMTU: d.plan.Offer.MTU, Routes: Routes(id), Permanent: Permanent(id), Rules: d.plan.Rules,
		NoARP: id.Link.NoARP,
		OnUse: func() {
			select {
			case d.used <- struct{}{}:
			default: // it is known already
			}
		},
	}
	for _, k := range d.cfg.Keep {
		c.KeptTCP = append(c.KeptTCP, k.Port)
	}
	return c
}

// guestRoutes are the pod's routes that the guest gets too.
func guestRoutes(id *podnet.Identity) []podnet.Route {
	return slices.DeleteFunc(id.UplinkRoutes(), func(r podnet.Route) bool { return r.ViaOther(id.Link.Index) })
}

// Routes are the captured routes as the forwarder wants them.
func Routes(id *podnet.Identity) []vswitch.Route {
	var routes []vswitch.Route
	for _, r := range guestRoutes(id) {
		routes = append(routes, vswitch.Route{Destination: r.Dst, Gateway: r.Via(id.Link.Index),
			MTU: int(r.Metrics["mtu"]), Metric: int(r.Metric)})
	}
	return routes
}

// Permanent are the captured neighbours that the forwarder need not ask for.
func Permanent(id *podnet.Identity) []vswitch.Neighbour {
	var permanent []vswitch.Neighbour
	for _, n := range id.Neighbours {
		if n.Permanent() && !n.Proxy {
			permanent = append(permanent, vswitch.Neighbour{Addr: n.Address, MAC: vswitch.MAC(n.MAC)})
		}
	}
	return permanent
}
