package podnet

// This file puts a recorded identity back. Each step looks at what is there and changes only what differs, so all of it
// may run again, and may start from wherever a crash left things. The order of the steps, and why:
//
//	up          routes need a link that is up
//	addresses   the routes' sources and the gateways' networks
//	prune       the kernel has just made prefix routes that the plugin may have deleted (ptp)
//	routes      see restoreRoutes
//	neighbours  they go when the last address goes, so they come when addresses stay
//	sysctls
//	fence       only now may the kernel speak: it has everything that it needs to say the right thing
//	state file  only now is the kernel the holder again

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// A restorer changes one link between "as recorded" and "taken".
type restorer struct {
	conn    *rtnetlink
	dir     string
	record  *record
	fence   io.Closer // nil when the kernel speaks, or is silenced by sysctls
	touched bool      // the first address may be gone
	holds   bool      // this process has taken the addresses itself, from this link
	name    string    // the link's, now
	log     *zap.Logger
	hooks   steps
	lost    []string // what cannot come back, for a reason outside the link
}

// giveBack does all steps, the later ones also after an earlier one failed, and removes the state file if none did.
func (r *restorer) giveBack() error {
	r.lost = nil
	if err := r.match(); err != nil {
		if errors.Is(err, ErrLinkGone) {
			return errors.Join(err, r.lowerFence(), removeRecord(r.dir))
		}
		return errors.Join(err, r.lowerFence())
	}
	err := errors.Join(r.restoreUp(), r.restoreAddresses(), r.prune(), r.restoreRoutes(), r.restoreNeighbours(),
		restoreSysctls(r.name, r.record.Sysctls))
	r.hooks.done("restore the sysctls")
	err = errors.Join(err, r.lowerFence())
	if err != nil {
		if gone := r.match(); errors.Is(gone, ErrLinkGone) {
			return errors.Join(gone, removeRecord(r.dir))
		}
		return fmt.Errorf("%s is not wholly as it was, and %s is kept: %w", r.record.Pod.Link.Name, statePath(r.dir), err)
	}
	if err := removeRecord(r.dir); err != nil {
		return err
	}
	r.hooks.done("remove the state file")
	return nil
}

// match makes sure that the recorded link is there and is the recorded one. Who holds the addresses knows it by its index also when it
// was given another name, or another MAC.
func (r *restorer) match() error {
	want := r.record.Pod.Link
	link, _, ok, err := r.conn.link(want.Index, "")
	switch {
	case err != nil:
		return explain("look at the pod interface "+want.Name, err)
	case !ok:
		return fmt.Errorf("%s (index %d, MAC %v): %w", want.Name, want.Index, want.MAC, ErrLinkGone)
	case r.holds && (link.Name == want.Name || link.MAC == want.MAC):
	case link.Name != want.Name || link.MAC != want.MAC:
		return fmt.Errorf("%w: %s is about %s (MAC %v), but interface %d is %s (MAC %v); if that is right, remove the file",
			ErrForeignState, statePath(r.dir), want.Name, want.MAC, want.Index, link.Name, link.MAC)
	}
	r.name = link.Name
	return nil
}

func (r *restorer) restoreUp() error {
	want := r.record.Pod.Link
	link, _, ok, err := r.conn.link(want.Index, "")
	if err != nil || !ok || link.Up || !want.Up {
		return err
	}
	if err := r.conn.setUp(want.Index); err != nil {
		return explain("bring "+want.Name+" up", err)
	}
	r.hooks.done("bring the link up")
	return nil
}

func (r *restorer) restoreAddresses() error {
	index := r.record.Pod.Link.Index
	have, err := r.conn.addresses(index)
	if err != nil {
		return err
	}
	want := r.unexpired()
	have = slices.DeleteFunc(have, func(a Address) bool {
		return !slices.ContainsFunc(want, a.same)
	})
	n := commonPrefix(have, want, Address.same)
	for _, a := range slices.Backward(have[n:]) { // out of order: somebody else has been here
		if err := r.conn.removeAddress(index, a); err != nil {
			return err
		}
		r.hooks.done("remove an address to add it elsewhere")
	}
	var errs []error
	for _, a := range want[n:] {
		errs = append(errs, r.conn.addAddress(index, a))
		r.hooks.done("add an address")
	}
	return errors.Join(errs...)
}

// unexpired returns the recorded addresses as they would be now. One whose lifetime has passed is not put back: the
// kernel would have removed it.
func (r *restorer) unexpired() []Address {
	var list []Address
	for _, a := range r.record.Pod.Addresses {
		if aged, ok := a.age(uptime() - r.record.Uptime); ok {
			list = append(list, aged)
		} else {
			r.lose("address " + a.String() + ": its lifetime has passed")
		}
	}
	return list
}

// prune removes the prefix routes that the kernel made for the addresses and that were not there before. Routes of
// others stay: whoever made them meanwhile wanted them.
func (r *restorer) prune() error {
	pod := r.record.Pod
	have, err := r.conn.routes(pod.Link.Index, pod.Addresses)
	if err != nil {
		return err
	}
	var errs []error
	for _, route := range have {
		if route.Protocol != unix.RTPROT_KERNEL || route.Link != pod.Link.Index || slices.ContainsFunc(pod.Routes, route.same) {
			continue
		}
		errs = append(errs, r.conn.removeRoute(route))
		r.hooks.done("prune a route")
	}
	return errors.Join(errs...)
}

func (r *restorer) restoreNeighbours() error {
	pod := r.record.Pod
	have, err := r.conn.neighbours(pod.Link.Index)
	if err != nil {
		return err
	}
	var errs []error
	// Backwards, because the kernel lists the newest of a hash bucket first.
	for _, n := range slices.Backward(pod.Neighbours) {
		if slices.Contains(have, n) {
			continue
		}
		errs = append(errs, r.conn.setNeighbour(pod.Link.Index, n))
		r.hooks.done("add a neighbour")
	}
	return errors.Join(errs...)
}

func (r *restorer) lowerFence() error {
	if r.fence == nil {
		return nil
	}
	err := r.fence.Close()
	r.fence = nil
	r.hooks.done("let the kernel speak")
	return explain("let the pod's kernel speak again", err)
}

// lose notes what cannot come back, and goes on.
func (r *restorer) lose(what string) {
	r.log.Warn("not put back", zap.String("what", what))
	r.lost = append(r.lost, what)
}

// commonPrefix returns how many elements at the beginning of a and b are the same.
func commonPrefix[T any](a, b []T, same func(T, T) bool) int {
	n := 0
	for n < min(len(a), len(b)) && same(a[n], b[n]) {
		n++
	}
	return n
}
