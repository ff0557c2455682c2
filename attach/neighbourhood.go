package attach

import (
	"slices"

	"github.com/podswitch/podswitch/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

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
