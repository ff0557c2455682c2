package podnet

// This file restores a recorded identity. doc.go lists the steps in their order, with the reasons.

import (
	"errors"
	"fmt"
	"slices"
)

// giveBack performs all steps, even after an earlier one has failed, because each restored part helps the pod. It removes the state file
// only if all steps have succeeded, or if the link is gone.
func (t *transaction) giveBack() error {
	t.lost = nil
	if err := t.identifyLink(); err != nil {
		err = errors.Join(err, t.endSilence())
		return t.endIfLinkGone(err)
	}
	t.followLast()
	err := errors.Join(t.restoreUp(), t.restoreAddresses(), t.restoreIPv6Address(), t.removeExtraRoutes(), t.restoreRoutes(), t.restoreIPv6Routes(),
		t.restoreNeighbours(),
		restoreSysctls(t.linkName, t.record.Sysctls))
	t.stepDone("restore the sysctls")
	err = errors.Join(err, t.endSilence())
	if err != nil {
		if gone := t.identifyLink(); errors.Is(gone, ErrLinkGone) { // the reason of the other errors
			return t.endIfLinkGone(gone)
		}
		return fmt.Errorf("%s is not restored completely, the state file %s remains: %w", t.record.Pod.Link.Name, statePath(t.dir), err)
	}
	if err := removeRecord(t.dir); err != nil {
		return err
	}
	t.stepDone("remove the state file")
	return nil
}

// endIfLinkGone returns err. If it is ErrLinkGone, nothing is left to restore, and the state file is removed.
func (t *transaction) endIfLinkGone(err error) error {
	if errors.Is(err, ErrLinkGone) {
		err = errors.Join(err, removeRecord(t.dir))
	}
	return err
}

// identifyLink checks that the recorded link exists and is the same one. The index identifies the link while its namespace exists: it then
// may have another name or another MAC. Where it is not certain that the namespace is the recorded one, neither may differ, because the
// index may belong to a new interface.
func (t *transaction) identifyLink() error {
	want := t.record.Pod.Link
	link, ok, err := t.conn.linkByIndex(want.Index)
	switch {
	case err != nil:
		return explain("read the pod interface "+want.Name, err)
	case !ok:
		return fmt.Errorf("%s (index %d, MAC %v): %w", want.Name, want.Index, want.MAC, ErrLinkGone)
	case t.indexIsCertain && link.Kind == want.Kind:
	case link.Name != want.Name || link.MAC != want.MAC:
		return fmt.Errorf("%w: %s describes %s (%s, MAC %v), but interface %d is %s (%s, MAC %v) (if that is right, remove the file)",
			ErrForeignState, statePath(t.dir), want.Name, want.Kind, want.MAC, want.Index, link.Name, link.Kind, link.MAC)
	}
	t.linkName = link.Name
	return nil
}

func (t *transaction) restoreUp() error {
	want := t.record.Pod.Link
	link, ok, err := t.conn.linkByIndex(want.Index)
	if err != nil || !ok || link.Up || !want.Up {
		return err
	}
	if err := t.conn.setUp(want.Index); err != nil {
		return explain("bring "+want.Name+" up", err)
	}
	t.stepDone("bring the link up")
	return nil
}

// removeExtraRoutes removes the prefix routes that the kernel added for the recorded addresses and that the record lacks. Routes that another
// program added since stay, and so do the prefix routes of its addresses.
func (t *transaction) removeExtraRoutes() error {
	pod := t.record.Pod
	var have []Route
	for _, f := range pod.takenFamilies() {
		routes, err := t.conn.routes(f, pod.Link.Index, pod.Addresses)
		if err != nil {
			return err
		}
		have = append(have, routes...)
	}
	recorded := bySlot(pod.Routes)
	var errs []error
	for _, route := range have {
		if route.Link != pod.Link.Index || !isPrefixRoute(route, pod.Addresses) || slices.ContainsFunc(recorded[route.slot()], route.same) {
			continue
		}
		errs = append(errs, t.conn.removeRoute(route))
		t.stepDone("remove a prefix route")
	}
	return errors.Join(errs...)
}

// restoreNeighbours adds the entries of IPv4 that are absent, in reverse: the kernel lists the newest entry of a hash bucket first. Without an
// address, the link has no neighbours (fib_disable_ip in net/ipv4/fib_frontend.c).
func (t *transaction) restoreNeighbours() error {
	pod := t.record.Pod
	recorded := only(IPv4, pod.Neighbours)
	if len(recorded) == 0 {
		return nil
	}
	addresses, err := t.conn.addresses(IPv4, pod.Link.Index)
	if err != nil || len(addresses) == 0 {
		return err
	}
	list, err := t.conn.neighbours(IPv4, pod.Link.Index, pod.Link.MAC)
	if err != nil {
		return err
	}
	have := make(map[Neighbour]bool, len(list))
	for _, n := range list {
		have[n] = true
	}
	var errs []error
	for _, n := range slices.Backward(recorded) {
		if have[n] {
			continue
		}
		errs = append(errs, t.lostOr(t.conn.setNeighbour(pod.Link.Index, n)))
		t.stepDone("add a neighbour")
	}
	return errors.Join(errs...)
}

// commonPrefix returns the number of equal elements at the beginning of a and b.
func commonPrefix[T any](a, b []T, equal func(T, T) bool) int {
	n := 0
	for n < min(len(a), len(b)) && equal(a[n], b[n]) {
		n++
	}
	return n
}
