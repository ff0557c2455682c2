package keeper

import (
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
)

// receiveReopen opens a port again that the switch has lost. A request for a port that is being opened already changes nothing.
func (l *loop) receiveReopen(s *session, r *grant.Reopen) {
	if r.Port < 0 || r.Port >= len(l.resources.ports) {
		l.violation(s, "reopen")
		return
	}
	if l.postpones(s, r.Port) {
		return
	}
	resources, p := l.resources, l.resources.ports[r.Port]
	if h := p.handle; h != nil && h.socket != nil && h.file != nil && !h.isShutDown() {
		if p.opener != nil && p.opener.limit.Allow() { // it was replaced before the switch has asked
			_ = s.send(resources.openedMessage(r.Port), h.fd())
		}
		return
	}
	old, o := p.handle, p.lend()
	if o == nil {
		return
	}
	go func() {
		h, err := l.reopen(resources, p, old, o)
		if !l.do(func() { l.reopened(resources, r.Port, o, h, err) }) {
			o.abandon(h)
		}
	}()
}

// postpones reports whether a port is not opened again now, because that would revoke a device whose descriptor the next switch has, without
// an error there: the next switch would neither receive nor send. The port is opened again before the next switch begins, or when the takeover
// has failed.
func (l *loop) postpones(s *session, index int) bool {
	if !l.resources.ports[index].isRevocable() {
		return false
	}
	if s == l.current && (l.next != nil || s.phase == phaseYielding) {
		l.postponed = append(slices.DeleteFunc(l.postponed, func(i int) bool { return i == index }), index)
		return true
	}
	return s.phase > phaseRunning
}

// openPostponed opens the ports again for which the current switch has asked during a takeover that has failed. A switch that was asked to yield gets
// its ports again when it resumes.
func (l *loop) openPostponed() {
	if l.current.phase > phaseRunning {
		return
	}
	all := l.postponed
	l.postponed = nil
	for _, index := range all {
		l.receiveReopen(l.current, &grant.Reopen{Port: index})
	}
}

// renewPostponed does so for a switch that has not begun yet, and uses the newest descriptor.
func (l *loop) renewPostponed() (renewed []int) {
	renewed, l.postponed = l.postponed, nil
	for _, index := range renewed {
		p := l.resources.ports[index]
		if err := p.renewIfPossible(); err != nil {
			l.noteUnrevoked(err)
			l.log.Warn("a switch that is replaced keeps its socket", zap.Error(err))
		}
		l.watchdog.guard(p)
	}
	return renewed
}

// reopen revokes and drops the port's old device, if there is one, and opens the port again. It does not run in the loop.
func (l *loop) reopen(r *resources, p *port, old *handle, o *opener) (*handle, error) {
	if old != nil {
		if err := old.revocation.wait(revokeLimit); err != nil {
			return nil, fmt.Errorf("%v: %w", p.spec, err)
		}
	}
	dropped := make(chan struct{})
	if !l.do(func() { p.drop(old); close(dropped) }) {
		return nil, context.Canceled
	}
	<-dropped
	return o.reopen(r.ctx)
}

// reopened sends the descriptor to the switches that use the port. An error is one that no further attempt could avoid.
func (l *loop) reopened(r *resources, index int, o *opener, h *handle, err error) {
	if l.resources != r { // the resources have been closed
		o.abandon(h)
		return
	}
	p := r.ports[index]
	p.opener = o
	if err != nil {
		l.handle(failed, err)
		return
	}
	p.replace(h)
	l.watchdog.guard(p)
	for _, s := range []*session{l.current, l.next} {
		if s != nil && s.phase.hasPorts() {
			_ = s.send(r.openedMessage(index), h.fd())
		}
	}
}
