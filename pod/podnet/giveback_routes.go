package podnet

// This file puts the recorded routes back, in the kernel's order. Routes of one slot (same table, destination, TOS and
// metric) are tried in their order, and adding one puts it before or after all others of the slot, those of other
// interfaces included. So a slot that is not exactly as recorded is emptied of our routes and filled again: first those
// that stood before foreign ones, in reverse, each to the front; then the rest, each to the end.

import (
	"errors"
	"slices"
)

// restoreRoutes goes over the slots until all are as recorded or a pass gets no further: a route through a gateway
// cannot be added before the route that reaches the gateway.
func (r *restorer) restoreRoutes() error {
	pending, err := r.slots()
	for err == nil && len(pending) > 0 {
		var errs []error
		var left [][]Route
		for _, slot := range pending {
			if err := r.restoreSlot(slot); err != nil {
				errs, left = append(errs, err), append(left, slot)
			}
		}
		if len(left) == len(pending) {
			err = errors.Join(errs...)
		}
		pending = left
	}
	return err
}

// slots returns the recorded routes grouped by slot, without those whose other interfaces have gone: those the kernel
// would have removed too.
func (r *restorer) slots() ([][]Route, error) {
	var order []routeSlot
	groups := map[routeSlot][]Route{}
	for _, route := range r.record.Pod.Routes {
		possible, err := r.linksThere(route)
		if err != nil {
			return nil, err
		}
		if !possible {
			r.lose("route " + route.String() + ": another interface that it uses is gone")
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

func (r *restorer) linksThere(route Route) (bool, error) {
	for _, hop := range route.hops() {
		if hop.Link == 0 || hop.Link == r.record.Pod.Link.Index {
			continue
		}
		if _, _, ok, err := r.conn.link(hop.Link, ""); err != nil || !ok {
			return false, explain("look at an interface of route "+route.String(), err)
		}
	}
	return true, nil
}

func (r *restorer) restoreSlot(want []Route) error {
	pod := r.record.Pod
	all, err := r.conn.routes(pod.Link.Index, pod.Addresses)
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
		if err := r.conn.removeRoute(route); err != nil {
			return err
		}
		r.hooks.done("remove a route to add it elsewhere")
	}
	for _, route := range slices.Backward(want) {
		if route.BeforeOthers {
			if err := r.conn.addRoute(route, true); err != nil {
				return err
			}
			r.hooks.done("add a route")
		}
	}
	for _, route := range want {
		if !route.BeforeOthers {
			if err := r.conn.addRoute(route, false); err != nil {
				return err
			}
			r.hooks.done("add a route")
		}
	}
	return nil
}
