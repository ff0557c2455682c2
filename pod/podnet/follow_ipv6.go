package podnet

import (
	"net/netip"
	"slices"
)

// followIPv6 reads again what the kernel keeps of IPv6.
func (t *transaction) followIPv6(pod *Identity) error {
	address, ok := pod.PodAddress(IPv6)
	if !ok {
		return nil
	}
	index := pod.Link.Index
	addresses, err := t.conn.addresses(IPv6, index)
	if err != nil {
		return err
	}
	routes, isMore, err := t.conn.boundedRoutes(IPv6, index, pod.Addresses)
	if err != nil {
		return err
	}
	pod.MoreAdvertised = isMore
	neighbours, err := t.conn.neighbours(IPv6, index, pod.Link.MAC)
	if err != nil {
		return err
	}
	elsewhere, err := t.elsewhere(pod, address.Addr())
	if err != nil {
		return err
	}
	kept := make(map[netip.Addr]Address, len(pod.Kept))
	for _, k := range pod.Kept {
		kept[k.Prefix.Addr()] = k
	}
	for i, a := range addresses { // lifetimes that only pass are no change
		if k := kept[a.Prefix.Addr()]; k.same(a) && k.Flags == a.Flags {
			addresses[i] = k
		}
	}
	pod.Kept = slices.DeleteFunc(addresses, func(a Address) bool { return a.Prefix.Addr() == address.Addr() })
	routes = append(routes, elsewhere...)
	pod.Routes = append(only(IPv4, pod.Routes), withSource(only(IPv6, pod.Routes), routes, address.Addr(), pod.Addresses)...)
	pod.Neighbours = append(only(IPv4, pod.Neighbours), settled(neighbours)...)
	return nil
}

// elsewhere returns the present routes of other interfaces that had the address as their source, which the kernel has forgotten.
func (t *transaction) elsewhere(pod *Identity, source netip.Addr) (list []Route, err error) {
	var bare []Route
	for _, r := range only(IPv6, pod.Routes) {
		if r.Source == source && !r.leavesThrough(pod.Link.Index) {
			r.Source = netip.Addr{}
			bare = append(bare, r)
		}
	}
	if len(bare) == 0 {
		return nil, nil
	}
	present, err := t.conn.rivals(bare)
	for _, r := range bare {
		if slices.ContainsFunc(present[r.slot()], r.same) {
			list = append(list, r)
		}
	}
	return list, err
}

// withSource returns the present routes of IPv6, with the source that the recorded ones had, and the recorded prefix routes of the address,
// which the kernel has removed. It omits those that came with the address when another program added it again. Its time is proportional to
// the number of routes.
func withSource(recorded, present []Route, source netip.Addr, taken []Address) []Route {
	recordedAt := bySlot(recorded)
	list := slices.DeleteFunc(slices.Clone(present), func(r Route) bool {
		return isPrefixRoute(r, taken) && !slices.ContainsFunc(recordedAt[r.slot()], r.same)
	})
	at := map[routeSlot][]int{}
	for i, r := range list {
		at[r.slot()] = append(at[r.slot()], i)
	}
	replace := func(like, r Route) bool {
		for _, i := range at[r.slot()] {
			if list[i].same(like) {
				list[i] = r
				return true
			}
		}
		return false
	}
	for _, r := range recorded {
		replace(r, r) // a lifetime that only passes is no change
		if r.Source != source && !isPrefixRoute(r, taken) {
			continue
		}
		bare := r
		bare.Source = netip.Addr{}
		if !replace(bare, r) && isPrefixRoute(r, taken) {
			list = append(list, r)
		}
	}
	return list
}
