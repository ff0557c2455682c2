package podnet

// This file restores the recorded routes of IPv4 in the kernel's order. Within a slot the kernel tries one route after another. A new route
// becomes the first or the last of its slot (NLM_F_APPEND, fib_table_insert in net/ipv4/fib_trie.c), and the slot may also hold routes of
// other interfaces, which must not move. So if a slot differs from the record, restoreSlot removes the recorded routes from it and adds
// them again: first, in reverse and at the front, those that preceded foreign routes; then the others, at the end.
//
// The kernel refuses a route through a gateway before the route to the gateway exists. So a pass restores what it can, and another pass
// the rest, until a pass restores nothing. The routes that are left then are lost, because the kernel would not have kept them either:
// their source address has expired, or the interface of a next hop is down. A multipath route loses only the next hops that the kernel
// refuses. Each pass reads the routes once, so that its time is proportional to their number.

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A refusal is a recorded route that could not be restored, and the reason.
type refusal struct {
	route Route
	err   error
}

// An addFunc adds a route as the first or the last of its slot.
type addFunc func(route Route, first bool) error

// restoreRoutes restores the recorded routes. Those that the kernel refuses for a lasting reason are lost.
func (t *transaction) restoreRoutes() error {
	slots, err := t.restorableSlots()
	if err != nil {
		return err
	}
	slots, refused, err := t.restoreSlots(slots, t.addRoute)
	if err == nil && len(slots) > 0 {
		_, refused, err = t.restoreSlots(slots, t.addPossibleHops)
	}
	errs := []error{err}
	for _, r := range refused {
		errs = append(errs, t.lostOr(r.err))
	}
	return errors.Join(errs...)
}

// restorableSlots groups the recorded routes by slot: on-link routes first, because gateways need them, and otherwise in the recorded
// order. It omits the routes that the kernel would have removed with something else: all routes if the link has lost its last address
// (fib_inetaddr_event in net/ipv4/fib_frontend.c), and a route with a next hop on another interface that is gone.
func (t *transaction) restorableSlots() ([][]Route, error) {
	pod := t.record.Pod
	routes := only(IPv4, pod.Routes)
	if len(routes) == 0 {
		return nil, nil
	}
	addresses, err := t.conn.addresses(IPv4, pod.Link.Index)
	if err != nil {
		return nil, err
	}
	if len(addresses) == 0 {
		t.reportLost("%s: %s has no address", count(len(routes), "route", "routes"), t.linkName)
		return nil, nil
	}
	gone, err := t.goneLinks()
	if err != nil {
		return nil, err
	}
	return t.groupBySlot(gone), nil
}

func (t *transaction) groupBySlot(gone map[int]bool) (list [][]Route) {
	position := map[routeSlot]int{} // of the slot in list
	for _, route := range only(IPv4, t.record.Pod.Routes) {
		if slices.ContainsFunc(route.nextHops(), func(h NextHop) bool { return gone[h.Link] }) {
			t.reportLost("route %v: another interface of its next hops is gone", route)
			continue
		}
		slot := route.slot()
		i, known := position[slot]
		if !known {
			i = len(list)
			position[slot], list = i, append(list, nil)
		}
		list[i] = append(list[i], route)
	}
	slices.SortStableFunc(list, func(a, b []Route) int { return cmp.Compare(b[0].Scope, a[0].Scope) })
	return list
}

// goneLinks returns the other interfaces of the recorded next hops that no longer exist.
func (t *transaction) goneLinks() (map[int]bool, error) {
	gone := map[int]bool{0: false, t.record.Pod.Link.Index: false}
	for _, route := range only(IPv4, t.record.Pod.Routes) {
		for _, hop := range route.nextHops() {
			if _, known := gone[hop.Link]; known {
				continue
			}
			_, ok, err := t.conn.linkByIndex(hop.Link)
			if err != nil {
				return nil, explain("read an interface of route "+route.String(), err)
			}
			gone[hop.Link] = !ok
		}
	}
	return gone, nil
}

// restoreSlots restores the slots in passes. It returns the slots and routes that the last pass could not restore.
func (t *transaction) restoreSlots(pending [][]Route, add addFunc) (left [][]Route, refused []refusal, err error) {
	pod := t.record.Pod
	for tries := len(pod.Routes) + 1; ; tries = len(refused) {
		present, err := t.conn.routes(IPv4, pod.Link.Index, pod.Addresses)
		if err != nil {
			return pending, refused, err
		}
		left, refused = nil, nil
		bySlot := bySlot(present)
		for _, slot := range pending {
			if failed := t.restoreSlot(slot, bySlot[slot[0].slot()], add); len(failed) > 0 {
				left, refused = append(left, slot), append(refused, failed...)
			}
		}
		if len(refused) == 0 || len(refused) >= tries {
			return left, refused, nil
		}
		pending = left
	}
}

func bySlot(routes []Route) map[routeSlot][]Route {
	slots := make(map[routeSlot][]Route, len(routes))
	for _, route := range routes {
		slots[route.slot()] = append(slots[route.slot()], route)
	}
	return slots
}

// restoreSlot makes the recorded routes of one slot exactly those of want, in that order. present has all routes of the slot that depend
// on the link. It returns the routes that it could not restore.
func (t *transaction) restoreSlot(want, present []Route, add addFunc) (failed []refusal) {
	have := slices.DeleteFunc(slices.Clone(present), func(route Route) bool { return !slices.ContainsFunc(want, route.same) })
	if slices.EqualFunc(have, want, func(a, b Route) bool { return a.same(b) && a.BeforeOthers == b.BeforeOthers }) {
		return nil
	}
	for _, route := range have {
		if err := t.conn.removeRoute(route); err != nil {
			return append(failed, refusal{route, err})
		}
		t.stepDone("remove a route to add it elsewhere")
	}
	return fillSlot(want, add)
}

// fillSlot adds the routes of one slot around the foreign routes that are in it.
func fillSlot(want []Route, add addFunc) (failed []refusal) {
	for _, route := range slices.Backward(want) {
		if !route.BeforeOthers {
			continue
		}
		if err := add(route, true); err != nil {
			failed = append(failed, refusal{route, err})
		}
	}
	for _, route := range want {
		if route.BeforeOthers {
			continue
		}
		if err := add(route, false); err != nil {
			failed = append(failed, refusal{route, err})
		}
	}
	return failed
}

func (t *transaction) addRoute(route Route, first bool) error {
	err := t.conn.addRoute(route, first)
	if err == nil {
		t.stepDone("add a route")
	}
	return err
}

// addPossibleHops adds a route. If the kernel refuses a multipath route, it adds the route with the next hops that the kernel accepts. The
// kernel does not say which one it refuses, so they are tried one after another.
func (t *transaction) addPossibleHops(route Route, first bool) error {
	err := t.addRoute(route, first)
	if err == nil || len(route.NextHops) == 0 || !isLasting(err) {
		return err
	}
	part, lost := route, []string(nil)
	part.NextHops = nil
	for _, hop := range route.NextHops {
		longer := part
		longer.NextHops = append(slices.Clone(part.NextHops), hop)
		if refused := t.replaceRoute(part, longer, first); refused != nil {
			lost = append(lost, hop.String())
			continue
		}
		part = longer
	}
	if len(part.NextHops) == 0 {
		return err
	}
	t.reportLost("of route %v: the next hop %s: %v", route, strings.Join(lost, " and "), errors.Unwrap(err))
	return nil
}

// replaceRoute adds a route in place of one with fewer next hops. If the kernel refuses it, the old one stays. An old route without next
// hops does not exist.
func (t *transaction) replaceRoute(old, route Route, first bool) error {
	exists := len(old.NextHops) > 0
	if exists {
		if err := t.conn.removeRoute(old); err != nil {
			return err
		}
	}
	err := t.addRoute(route, first)
	if err != nil && exists {
		if again := t.addRoute(old, first); again != nil {
			return fmt.Errorf("%w, and then %w", err, again)
		}
	}
	return err
}
