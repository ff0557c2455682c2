package keeper

import (
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
)

// Network plugins change the interface of a running pod: Cilium lowers the MTU, others replace routes. The keeper follows the interface while a
// switch runs, and in a hold. A change of the plan gets a new revision, which each switch is told once.

// retakeEvery bounds how often the pod address is taken again from a program that adds it again and again.
const retakeEvery = time.Second

// The bound of how often the interface is read: a program that changes it without end costs a little time and few writes of the state file.
const (
	followBurst  = 20
	followRefill = time.Second
)

// watchNetwork follows the pod interface from now on.
func (l *loop) watchNetwork(link podnet.Link) {
	resources := l.resources
	signals, err := podnet.Changes(resources.ctx, link)
	if err != nil {
		l.log.Warn("changes of the pod's network are not followed", zap.Error(err))
		return
	}
	l.follow()
	limit := rate.NewLimiter(rate.Every(followRefill), followBurst)
	go func() {
		for range signals {
			_ = limit.Wait(resources.ctx) // the end of ctx closes signals
			retaken, ok := l.followAside(resources)
			if !ok {
				return
			}
			if retaken {
				time.Sleep(retakeEvery)
			}
		}
		if resources.ctx.Err() == nil {
			l.log.Warn("changes of the pod's network are not followed any more: the kernel has stopped sending them")
		}
	}()
}

// follow reads the pod interface in the loop, before anything depends on it.
func (l *loop) follow() {
	id, added, err := l.resources.reader()()
	l.applyNetwork(id, added, err)
}

// followAside is follow for another goroutine. The loop goes on while the interface is read: hosts on the link decide how many routes the kernel
// has to list (podnet.MaxAdvertised), and a switch ends its session if nobody takes its messages. retaken reports whether another program had added
// the pod address again; ok is false once the resources are closed.
func (l *loop) followAside(r *resources) (retaken, ok bool) {
	readers := make(chan networkReader, 1)
	if !l.do(func() {
		if l.resources == r { // otherwise the pod interface is not the keeper's any more
			readers <- r.reader()
		}
		close(readers)
	}) {
		return false, false
	}
	read, ok := <-readers
	if !ok {
		return false, false
	}
	id, added, err := read()
	return len(added) > 0, l.do(func() {
		if l.resources == r {
			l.applyNetwork(id, added, err)
		}
	})
}

// applyNetwork applies what was read of the pod interface to the plans, and tells the current switch.
func (l *loop) applyNetwork(id *podnet.Identity, added []podnet.Address, err error) {
	r := l.resources
	for _, a := range added {
		l.log.Warn("another program has added the pod address to the interface again: it is removed, and its lifetime is the guest's",
			zap.String("interface", id.Link.Name), zap.Stringer("address", a))
	}
	switch {
	case err != nil:
		l.noteRefused([]string{err.Error()})
	case id != r.plan.Identity:
		l.revisePlans(id)
	}
	if l.current != nil && l.current.phase == phaseRunning {
		l.sendNetwork()
	}
}

// A networkReader reads the identity of the pod interface as it is now, or would be without podswitch. Any goroutine may call it.
type networkReader func() (id *podnet.Identity, added []podnet.Address, err error)

// reader returns the one for the present state.
func (r *resources) reader() networkReader {
	if r.readNetwork != nil {
		return r.readNetwork
	}
	if r.taken != nil {
		return r.taken.Follow
	}
	before := r.plan.Identity
	return func() (*podnet.Identity, []podnet.Address, error) {
		id, err := podnet.Rediscover(before)
		return id, nil, err
	}
}

// revisePlans replaces the plan of the current switch and that of the next one.
func (l *loop) revisePlans(id *podnet.Identity) {
	r := l.resources
	next, refused, err := plan.Follow(r.plan, id)
	if err != nil {
		l.noteRefused([]string{err.Error()})
		return
	}
	if changes := r.plan.Differences(next); len(changes) > 0 {
		l.log.Info("pod network changed", zap.Strings("changes", changes))
		r.revision++
	}
	r.plan = next
	if l.nextPlan != nil {
		if following, _, err := plan.Follow(l.nextPlan, id); err == nil { // as above, unless the new settings do not allow it
			l.nextPlan = following
		} else {
			refused = append(refused, err.Error())
		}
	}
	l.noteRefused(refused)
}

// noteRefused notes the changes that have no effect, and logs those that are new.
func (l *loop) noteRefused(refused []string) {
	r := l.resources
	if slices.Equal(r.refused, refused) {
		return
	}
	for _, text := range refused {
		l.log.Warn("change of the pod's network refused", zap.String("why", text))
	}
	r.refused = refused
	r.revision++
}

// sendNetwork tells the current switch what has changed since its grant. One such message waits for a switch at most: it may be large, and the
// next one has all changes.
func (l *loop) sendNetwork() {
	r, s := l.resources, l.current
	if s.revision == r.revision || s.isTold {
		return
	}
	s.revision, s.isTold = r.revision, true
	told := func() {
		s.isTold = false
		if s == l.current && s.phase == phaseRunning {
			l.sendNetwork()
		}
	}
	_ = s.enqueue(outgoing{Message: grant.Message{Changed: &grant.Changed{Forwarder: r.plan.Wire(), Refused: r.refused}}, done: func() { go l.do(told) }})
}
