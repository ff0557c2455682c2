package podnet

// This file restores the recorded addresses of IPv4. Their order decides which one is primary, and from which one the kernel sends if a route names
// no source. The kernel adds an address at the end. So addresses that are not in their place are removed first and added again.
//
// Addresses that other programs added since the take stay. They belong behind the recorded ones, where the kernel would have put them. If one
// of them precedes a recorded one, it must be removed and added again, too, and the kernel drops the routes and neighbours that depend on
// it. So adopt adds them to the record first: a crash then loses nothing.

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// restoreAddresses adds the recorded addresses that are absent, in the recorded order.
func (t *transaction) restoreAddresses() error {
	index := t.record.Pod.Link.Index
	have, err := t.conn.addresses(IPv4, index)
	if err != nil {
		return err
	}
	want := t.unexpiredAddresses(have)
	others := slices.DeleteFunc(slices.Clone(have), func(a Address) bool { return slices.ContainsFunc(want, a.same) })
	if isDisplaced(want, have, others) && t.adopt(want, others) {
		want = only(IPv4, t.record.Pod.Addresses)
	} else {
		have = slices.DeleteFunc(have, func(a Address) bool { return slices.ContainsFunc(others, a.same) })
	}
	inPlace := commonPrefix(have, want, Address.same)
	for _, a := range slices.Backward(have[inPlace:]) {
		if err := t.conn.removeAddress(index, a); err != nil {
			return err
		}
		t.stepDone("remove an address to add it elsewhere")
	}
	var errs []error
	for _, a := range want[inPlace:] {
		errs = append(errs, t.conn.addAddress(index, a))
		t.stepDone("add an address")
	}
	return errors.Join(errs...)
}

// unexpiredAddresses returns the recorded addresses with the lifetimes that are left. It omits an expired address, because the kernel would
// have removed it. An address that the link has again has the lifetimes that another program, such as a DHCP client, gave it.
func (t *transaction) unexpiredAddresses(have []Address) []Address {
	var list []Address
	for _, a := range only(IPv4, t.record.Pod.Addresses) {
		aged, alive := a.aged(uptime() - t.record.Uptime)
		if i := slices.IndexFunc(have, a.same); i >= 0 {
			aged.Valid, aged.Preferred, alive = have[i].Valid, have[i].Preferred, true
		}
		if alive {
			list = append(list, aged)
		} else {
			t.reportLost("address %v: it has expired", a)
		}
	}
	return list
}

// isDisplaced reports whether an address of another program precedes a recorded primary address of its scope, or would, because the
// kernel adds at the end. have is the list of the link; others are the addresses of it that are not in want. Addresses of different scopes
// do not compete: the kernel sorts by scope (__inet_insert_ifa in net/ipv4/devinet.c).
func isDisplaced(want, have, others []Address) bool {
	for _, a := range want {
		if a.isSecondary() {
			continue
		}
		at := slices.IndexFunc(have, a.same)
		if at >= 0 && have[at].isSecondary() && len(others) > 0 {
			return true
		}
		before := have
		if at >= 0 {
			before = have[:at]
		}
		if slices.ContainsFunc(before, func(b Address) bool {
			return b.Scope == a.Scope && !b.isSecondary() && slices.ContainsFunc(others, b.same)
		}) {
			return true
		}
	}
	return false
}

// adopt adds to the record the addresses of other programs, and what the kernel drops with them. The recorded addresses come first. It
// returns false if the record cannot be written, on a full disk for example: the addresses then stay where they are.
func (t *transaction) adopt(want, others []Address) bool {
	merged, err := t.mergedRecord(want, others)
	if err == nil {
		err = writeRecord(t.dir, merged)
	}
	if err != nil {
		t.reportLost("the order of the addresses: %v", err)
		return false
	}
	t.record = merged
	t.stepDone("record the addresses of other programs")
	return true
}

func (t *transaction) mergedRecord(want, others []Address) (*record, error) {
	pod := *t.record.Pod
	now, err := t.conn.routes(IPv4, pod.Link.Index, slices.Concat(pod.Addresses, others))
	if err != nil {
		return nil, err
	}
	neighbours, err := t.conn.neighbours(IPv4, pod.Link.Index, pod.Link.MAC)
	if err != nil {
		return nil, err
	}
	pod.Addresses = append(inKernelOrder(want, others), only(IPv6, pod.Addresses)...)
	pod.Routes = slices.Clone(pod.Routes)
	recorded := bySlot(pod.Routes)
	for _, route := range now {
		if !slices.ContainsFunc(recorded[route.slot()], route.same) && !isReplaced(route, want, others) {
			pod.Routes = append(pod.Routes, route)
		}
	}
	pod.Neighbours = mergeNeighbours(pod.Neighbours, neighbours)
	merged := *t.record
	pod.readAt = uptime()
	merged.Pod, merged.Uptime = &pod, pod.readAt
	return &merged, nil
}

// inKernelOrder returns the addresses in the order in which the kernel lists them: primary ones first. One of others that is in the subnet
// of a recorded primary address becomes its secondary.
func inKernelOrder(want, others []Address) []Address {
	list := slices.Concat(want, others)
	last := map[netip.Prefix]bool{} // subnets of primary addresses
	rank := make(map[netip.Prefix]int, len(list))
	for _, a := range list {
		if subnet := a.Prefix.Masked(); last[subnet] || a.isSecondary() && slices.ContainsFunc(want, a.same) {
			rank[a.Prefix] = 1
		} else {
			last[subnet] = true
		}
	}
	slices.SortStableFunc(list, func(a, b Address) int { return cmp.Compare(rank[a.Prefix], rank[b.Prefix]) })
	return list
}

// isReplaced reports whether a route is the prefix route of a recorded address, or of another one that becomes secondary and then has none.
func isReplaced(route Route, want, others []Address) bool {
	if isPrefixRoute(route, want) {
		return true
	}
	return isPrefixRoute(route, others) && slices.ContainsFunc(want, func(a Address) bool {
		return !a.isSecondary() && a.Prefix.Masked() == route.Dst
	})
}

// isPrefixRoute reports whether the kernel has added the route for one of the addresses (fib_add_ifaddr in net/ipv4/fib_frontend.c,
// addrconf_prefix_route in net/ipv6/addrconf.c, which names no source).
func isPrefixRoute(route Route, addresses []Address) bool {
	return route.Protocol == unix.RTPROT_KERNEL && slices.ContainsFunc(addresses, func(a Address) bool {
		return (a.Prefix.Addr() == route.Source || a.family() == IPv6 && !route.Gateway.IsValid()) && (a.Prefix.Masked() == route.Dst || a.Peer.IsValid() &&
			netip.PrefixFrom(a.Peer, a.Prefix.Bits()).Masked() == route.Dst)
	})
}

// mergeNeighbours adds to the recorded neighbours those of now that are about other addresses.
func mergeNeighbours(recorded, now []Neighbour) []Neighbour {
	type key struct {
		address netip.Addr
		proxy   bool
	}
	known := map[key]bool{}
	for _, n := range recorded {
		known[key{n.Address, n.Proxy}] = true
	}
	merged := slices.Clone(recorded)
	for _, n := range now {
		if !known[key{n.Address, n.Proxy}] {
			merged = append(merged, n)
		}
	}
	return merged
}
