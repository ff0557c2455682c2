package podnet

// Other programs change the interface while the addresses are taken: a plugin lowers the MTU, replaces a route, adds a neighbour, renews the
// address. The record is what the interface would be without podswitch, so follow applies their changes to it. The kernel has only what was
// added since the take, so that nothing else can be deleted or replaced there:
//
//	link          name, MAC and MTU are the present ones; with its MAC, the kernel drops all neighbours
//	pod address   added again, as a DHCP client does that renews it: the record gets its lifetimes, and it is removed again
//	other address stays with the pod's kernel (giveback_addresses.go)
//	route added   takes the place of the first route of its slot, as with ip route replace; in a slot of its own it is one more
//	neighbour     a permanent or proxy entry takes the place of that of its address
//	deleted       what was added before is removed from the record
//
// Of IPv6, the kernel keeps the routes, without the address as their source, the neighbours and the other addresses (ipv6.go): these are read
// again (follow_ipv6.go).

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Follow applies what other programs have changed since the take to the state file, and removes pod addresses that they have added again.
// It returns the identity to be restored, which the caller must not change; without a change it is the same as before. retaken has the
// addresses that were removed again. After GiveBack, which may have failed, it does nothing.
func (taken *Taken) Follow() (id *Identity, retaken []Address, err error) {
	taken.mu.Lock()
	defer taken.mu.Unlock()
	if taken.tx == nil || taken.isGiven {
		return taken.id, nil, nil
	}
	link, ok, err := taken.tx.conn.linkByIndex(taken.id.Link.Index)
	if err != nil || !ok { // the end of the interface is noticed elsewhere
		return taken.id, nil, explain("read the pod interface "+taken.id.Link.Name, err)
	}
	link.Up = taken.id.Link.Up // it is brought up again
	added, err := taken.tx.follow(link.Link)
	for _, a := range added {
		if err == nil {
			err = taken.tx.removeAgain(a)
		}
	}
	if err == nil && len(added) > 0 { // the kernel has dropped routes and neighbours with them
		taken.tx.others, err = taken.tx.presentOthers()
	}
	taken.id = taken.tx.record.Pod
	return taken.id, added, err
}

// removeAgain removes an address that another program has added, and does not wait for the end of its duplicate address detection. If the
// kernel has not joined the group of an IPv6 address yet, it leaves the group nevertheless, and takes the membership of this process
// (addrconf_leave_solict in net/ipv6/addrconf.c): this process joins again.
func (t *transaction) removeAgain(a Address) error {
	err := t.conn.removeAddress(t.record.Pod.Link.Index, a)
	if err != nil || a.family() != IPv6 || t.group == nil {
		return err
	}
	_ = t.group.Close()
	return t.joinGroup()
}

// othersState is what the kernel has while the addresses are taken.
type othersState struct {
	routes     []Route
	neighbours []Neighbour // permanent and proxy ones
}

// presentOthers omits the routes that the kernel adds and removes with an address. If IPv4 stays with the pod, its routes and neighbours are no
// part of the record.
func (t *transaction) presentOthers() (o othersState, err error) {
	pod := t.record.Pod
	if !pod.has(IPv4) {
		return o, nil
	}
	addresses, err := t.conn.addresses(IPv4, pod.Link.Index)
	if err != nil {
		return o, err
	}
	if o.routes, err = t.conn.routes(IPv4, pod.Link.Index, pod.Addresses); err != nil {
		return o, err
	}
	if o.neighbours, err = t.conn.neighbours(IPv4, pod.Link.Index, pod.Link.MAC); err != nil {
		return o, err
	}
	addresses = append(addresses, pod.Addresses...)
	o.routes = slices.DeleteFunc(o.routes, func(r Route) bool { return isPrefixRoute(r, addresses) })
	o.neighbours = settled(o.neighbours)
	return o, nil
}

// follow applies the changes, and those of the link, to the record. It returns the recorded addresses that the link has again.
func (t *transaction) follow(link Link) (added []Address, err error) {
	now, err := t.presentOthers()
	if err != nil {
		return nil, err
	}
	next, pod := *t.record, *t.record.Pod
	if next.TakenMTU == 0 && link.MTU != pod.Link.MTU {
		next.TakenMTU = pod.Link.MTU
	}
	pod.Link = link
	if pod.Addresses, added, err = t.renewed(pod.Addresses); err != nil {
		return nil, err
	}
	pod.Routes = mergeOthersRoutes(pod.Routes, now.routes, t.others.routes)
	if link.MAC != t.record.Pod.Link.MAC { // neigh_changeaddr in net/core/neighbour.c
		pod.TakenMAC = t.record.Pod.FirstMAC()
		pod.Neighbours = only(IPv6, pod.Neighbours)
	}
	pod.Neighbours = mergeOthersNeighbours(pod.Neighbours, now.neighbours, t.others.neighbours)
	if err := t.followIPv6(&pod); err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(pod, *t.record.Pod) {
		next.Pod = &pod
		if err := writeRecord(t.dir, &next); err != nil {
			return nil, err
		}
		t.record = &next
		t.stepDone("record what other programs have changed")
	}
	t.others = now
	return added, nil
}

// renewed returns the recorded addresses with what the kernel says of those that the link has again, and these.
func (t *transaction) renewed(recorded []Address) (list, added []Address, err error) {
	list = slices.Clone(recorded)
	var have []Address
	for _, f := range t.record.Pod.takenFamilies() {
		addresses, err := t.conn.addresses(f, t.record.Pod.Link.Index)
		if err != nil {
			return nil, nil, err
		}
		have = append(have, addresses...)
	}
	for i, a := range list {
		at := slices.IndexFunc(have, a.same)
		if at < 0 {
			continue
		}
		added = append(added, have[at])
		age := uptime() - t.record.Uptime
		list[i] = have[at]
		list[i].Flags = have[at].Flags&^computedAddressFlags | a.Flags&computedAddressFlags
		list[i].Valid, list[i].Preferred = since(have[at].Valid, age), since(have[at].Preferred, age)
	}
	return list, added, nil
}

// since returns a lifetime that has the given rest now as one that began a time ago.
func since(rest uint32, ago time.Duration) uint32 {
	if rest == Forever || rest == 0 {
		return rest
	}
	return uint32(min(time.Duration(rest)+ago/time.Second, Forever-1))
}

// mergeOthersRoutes returns the recorded routes with what other programs have changed from before to now.
func mergeOthersRoutes(recorded, now, before []Route) []Route {
	present, recordedBefore := bySlot(now), bySlot(recorded)
	has := func(slots map[routeSlot][]Route, r Route) bool { return slices.ContainsFunc(slots[r.slot()], r.same) }
	gone := bySlot(slices.DeleteFunc(slices.Clone(before), func(r Route) bool { return has(present, r) }))
	merged := slices.DeleteFunc(slices.Clone(recorded), func(r Route) bool { return has(gone, r) })
	first := map[routeSlot]int{}
	for i, r := range slices.Backward(merged) {
		first[r.slot()] = i
	}
	for _, r := range now {
		if has(recordedBefore, r) {
			continue
		}
		if i, ok := first[r.slot()]; ok && !has(present, merged[i]) {
			merged[i] = r
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}

// mergeOthersNeighbours is mergeOthersRoutes for neighbours.
func mergeOthersNeighbours(recorded, now, before []Neighbour) []Neighbour {
	type key struct {
		address netip.Addr
		proxy   bool
	}
	replaced := map[key]bool{}
	for _, n := range slices.Concat(now, before) {
		replaced[key{n.Address, n.Proxy}] = true
	}
	if slices.Equal(now, before) {
		return recorded
	}
	merged := slices.DeleteFunc(slices.Clone(recorded), func(n Neighbour) bool { return replaced[key{n.Address, n.Proxy}] })
	return append(merged, now...)
}

// followLast applies to the record what was not followed before giving back. Once giving back has begun, the kernel has an address, and routes that may be parts of
// recorded ones.
func (t *transaction) followLast() {
	now, ok, err := t.conn.linkByIndex(t.record.Pod.Link.Index)
	if err != nil || !ok {
		return
	}
	_, added, err := t.renewed(t.record.Pod.Addresses)
	if err == nil && len(added) == 0 {
		link := t.record.Pod.Link // with its name: the report has both
		link.MAC, link.MTU = now.MAC, now.MTU
		_, err = t.follow(link)
	}
	if err != nil {
		t.log.Warn("changes of other programs are not merged", zap.Error(err))
	}
	t.limitRoutes(now.MTU)
}

// limitRoutes lowers the MTU of recorded routes to that of the link, if the link's was lowered below it since the take. A plugin that lowers the MTU of a pod also changes
// its routes, and there were none.
func (t *transaction) limitRoutes(mtuNow int) {
	pod := *t.record.Pod
	pod.Routes = slices.Clone(pod.Routes)
	for i, r := range pod.Routes {
		if mtu := int(r.Metrics["mtu"]); mtu > mtuNow && mtu <= max(t.record.TakenMTU, pod.Link.MTU) {
			pod.Routes[i] = r.withMTU(mtuNow)
		}
	}
	next := *t.record
	next.Pod, t.record = &pod, &next
}

// CopyAddresses replaces the addresses by those of another identity, with the time when they were read.
func (id *Identity) CopyAddresses(from *Identity) {
	id.Addresses, id.Kept, id.readAt = from.Addresses, from.Kept, from.readAt
}

// Rediscover reads an identity again. The interface may have another name since.
func Rediscover(id *Identity) (*Identity, error) {
	conn, err := openRtnetlink()
	if err != nil {
		return nil, err
	}
	defer conn.close()
	link, ok, err := conn.linkByIndex(id.Link.Index)
	switch {
	case err != nil:
		return nil, explain("read the pod interface "+id.Link.Name, err)
	case !ok:
		return nil, fmt.Errorf("%s: %w", id.Link.Name, ErrLinkGone)
	}
	return readIdentity(conn, link.Name, id.families)
}
