package podnet

// This file restores a recorded identity. doc.go lists the steps in their order, with the reasons.

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// giveBack performs all steps, even after an earlier one has failed, because each restored part helps the pod. It removes the state file
// only if all steps have succeeded, or if the link is gone.
func (t *transaction) giveBack() error {
	t.lost = nil
	if err := t.identifyLink(); err != nil {
		err = errors.Join(err, t.endSilence())
		return t.endIfLinkGone(err)
	}
	err := errors.Join(t.restoreUp(), t.restoreAddresses(), t.removeExtraRoutes(), t.restoreRoutes(), t.restoreNeighbours(),
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

// identifyLink checks that the recorded link exists and is the same one. A process that took the addresses itself knows the link by its
// index, and accepts a change of the name or of the MAC. A process that only has the state file accepts neither, because the kernel may
// have given the index to a new interface.
func (t *transaction) identifyLink() error {
	want := t.record.Pod.Link
	link, ok, err := t.conn.linkByIndex(want.Index)
	switch {
	case err != nil:
		return explain("read the pod interface "+want.Name, err)
	case !ok:
		return fmt.Errorf("%s (index %d, MAC %v): %w", want.Name, want.Index, want.MAC, ErrLinkGone)
	case t.took && (link.Name == want.Name || link.MAC == want.MAC):
	case link.Name != want.Name || link.MAC != want.MAC:
		return fmt.Errorf("%w: %s describes %s (MAC %v), but interface %d is %s (MAC %v) (if that is right, remove the file)",
			ErrForeignState, statePath(t.dir), want.Name, want.MAC, want.Index, link.Name, link.MAC)
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

// restoreAddresses adds the recorded addresses that are absent. The order of addresses decides which one is primary, and the kernel adds
// an address at the end. So it removes recorded addresses that are not in their place first. Addresses that other programs added stay.
func (t *transaction) restoreAddresses() error {
	index := t.record.Pod.Link.Index
	have, err := t.conn.addresses(index)
	if err != nil {
		return err
	}
	want := t.unexpiredAddresses()
	have = slices.DeleteFunc(have, func(a Address) bool {
		return !slices.ContainsFunc(want, a.same)
	})
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
// have removed it.
func (t *transaction) unexpiredAddresses() []Address {
	var list []Address
	for _, a := range t.record.Pod.Addresses {
		if aged, ok := a.aged(uptime() - t.record.Uptime); ok {
			list = append(list, aged)
		} else {
			t.reportLost("address %v: it has expired", a)
		}
	}
	return list
}

// removeExtraRoutes removes the prefix routes that the kernel added for the addresses (fib_add_ifaddr in net/ipv4/fib_frontend.c) and
// that the record lacks. Routes that another program added meanwhile stay.
func (t *transaction) removeExtraRoutes() error {
	pod := t.record.Pod
	have, err := t.conn.routes(pod.Link.Index, pod.Addresses)
	if err != nil {
		return err
	}
	var errs []error
	for _, route := range have {
		if route.Protocol != unix.RTPROT_KERNEL || route.Link != pod.Link.Index || slices.ContainsFunc(pod.Routes, route.same) {
			continue
		}
		errs = append(errs, t.conn.removeRoute(route))
		t.stepDone("remove a prefix route")
	}
	return errors.Join(errs...)
}

// restoreNeighbours adds the entries that are absent, in reverse: the kernel lists the newest entry of a hash bucket first.
func (t *transaction) restoreNeighbours() error {
	pod := t.record.Pod
	have, err := t.conn.neighbours(pod.Link.Index)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range slices.Backward(pod.Neighbours) {
		if slices.Contains(have, n) {
			continue
		}
		errs = append(errs, t.conn.setNeighbour(pod.Link.Index, n))
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
