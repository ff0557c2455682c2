package podnet

// This file restores the recorded routes in the kernel's order. Within a slot the kernel tries one route after another. A new route
// becomes the first or the last of its slot (NLM_F_APPEND, fib_table_insert in net/ipv4/fib_trie.c), and the slot may also hold routes of
// other interfaces, which must not move. So if a slot differs from the record, restoreSlot removes the recorded routes from it and adds
// them again: first, in reverse and at the front, those that preceded foreign routes; then the others, at the end.

import (
	"errors"
	"slices"
)

// restoreRoutes repeats the slots that failed, until none is left or a pass has restored none: the kernel refuses a route through a gateway
// before the route to the gateway exists, and slots do not depend on each other in a known order.
func (t *transaction) restoreRoutes() error {
	pending, err := t.restorableSlots()
	for err == nil && len(pending) > 0 {
		var errs []error
		var failed [][]Route
		for _, slot := range pending {
			if err := t.restoreSlot(slot); err != nil {
				errs, failed = append(errs, err), append(failed, slot)
			}
		}
		if len(failed) == len(pending) {
			err = errors.Join(errs...)
		}
		pending = failed
	}
	return err
}

// restorableSlots groups the recorded routes by slot, in the recorded order. It omits a route with a next hop on another interface that is
// gone, because the kernel would have removed it.
func (t *transaction) restorableSlots() ([][]Route, error) {
	var order []routeSlot
	groups := map[routeSlot][]Route{}
	for _, route := range t.record.Pod.Routes {
		exist, err := t.nextHopLinksExist(route)
		if err != nil {
			return nil, err
		}
		if !exist {
			t.reportLost("route %v: another interface of its next hops is gone", route)
			continue
		}
		slot := route.slot()
		if groups[slot] == nil {
			order = append(order, slot)
		}
		groups[slot] = append(groups[slot], route)
	}
	var list [][]Route
	for _, slot := range order {
		list = append(list, groups[slot])
	}
	return list, nil
}

func (t *transaction) nextHopLinksExist(route Route) (bool, error) {
	for _, hop := range route.nextHops() {
		if hop.Link == 0 || hop.Link == t.record.Pod.Link.Index {
			continue
		}
		if _, ok, err := t.conn.linkByIndex(hop.Link); err != nil || !ok {
			return false, explain("read an interface of route "+route.String(), err)
		}
	}
	return true, nil
}

// restoreSlot makes the recorded routes of one slot exactly those of want, in that order.
func (t *transaction) restoreSlot(want []Route) error {
	pod := t.record.Pod
	all, err := t.conn.routes(pod.Link.Index, pod.Addresses)
	if err != nil {
		return err
	}
	have := slices.DeleteFunc(all, func(route Route) bool {
		return route.slot() != want[0].slot() || !slices.ContainsFunc(want, route.same)
	})
	if slices.EqualFunc(have, want, func(a, b Route) bool { return a.same(b) && a.BeforeOthers == b.BeforeOthers }) {
		return nil
	}
	for _, route := range have {
		if err := t.conn.removeRoute(route); err != nil {
			return err
		}
		t.stepDone("remove a route to add it elsewhere")
	}
	return t.fillSlot(want)
}

// fillSlot adds the routes of one slot around the foreign routes that are in it.
func (t *transaction) fillSlot(want []Route) error {
	for _, route := range slices.Backward(want) {
		if route.BeforeOthers {
			if err := t.addRoute(route, true); err != nil {
				return err
			}
		}
	}
	for _, route := range want {
		if !route.BeforeOthers {
			if err := t.addRoute(route, false); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *transaction) addRoute(route Route, first bool) error {
	err := t.conn.addRoute(route, first)
	if err == nil {
		t.stepDone("add a route")
	}
	return err
}
