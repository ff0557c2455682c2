package keeper

import (
	"errors"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
)

// ready lets a switch that has built everything begin, once the address is taken or the switch before it has made room.
func (l *loop) ready(s *session, r *grant.Ready) {
	s.phase = ready
	l.log.Debug("a switch is ready", zap.Int("process", s.pid), zap.String("sandbox", r.Sandbox))
	switch s {
	case l.next:
		l.askToYield()
		return
	case l.current:
	default: // it came too late
		return
	}
	if err := l.take(); err != nil {
		l.fail(s, err)
		return
	}
	l.begin(s, grant.Go{})
}

// begin tells a switch that the address is its.
func (l *loop) begin(s *session, g grant.Go, files ...int) {
	s.phase = starting
	l.limit(s, starting, l.timeouts.start)
	_ = s.send(grant.Message{Go: &g}, files...)
}

// started is what follows when a switch is at work.
func (l *loop) started(s *session) {
	s.phase = running
	if s == l.next {
		l.handedOver()
		return
	}
	if l.guestWatched {
		_ = s.send(grant.Message{Guest: &grant.Guest{Absent: l.absent}})
		return
	}
	l.watchGuest()
}

// take takes the address. From then on a watchdog knows.
func (l *loop) take() (err error) {
	if p := l.resources.plan; p != nil && p.Delegates() && !p.Mute {
		if l.watchdog, err = startWatchdog(l.cfg.Watchdog, l.log); err != nil {
			return err
		}
	}
	l.giveBack, err = l.takeAddress(l.resources)
	return err
}

// bye ends the time of a switch that wants that.
func (l *loop) bye(s *session) {
	if s == l.current {
		l.release(nil)
		return
	}
	s.conn.Close()
}

// watchGuest tells the switch when the hypervisor lets go of the guest's device. Of a tap that podswitch holds itself, the other
// side may be in any namespace; its loss is seen by the port.
func (l *loop) watchGuest() {
	l.absent, l.guestWatched = false, true
	resources := l.resources
	if resources.plan == nil || resources.ports[0].spec.Kind != hypervisor.KindPacket {
		return
	}
	states, err := podnet.Watch(resources.ctx, resources.ports[0].spec.Name)
	if err != nil {
		l.release(err)
		return
	}
	go func() {
		for s := range states {
			l.do(func() { l.guestIs(resources, !s.Present || !s.Carrier) })
		}
		if resources.ctx.Err() == nil {
			l.do(func() {
				if l.resources == resources {
					l.release(errors.New("the kernel does not tell of the guest's device any more"))
				}
			})
		}
	}()
}

func (l *loop) guestIs(resources *resources, absent bool) {
	if l.resources != resources {
		return
	}
	l.absent = absent
	for _, s := range []*session{l.current, l.next} {
		if s != nil && s.phase == running {
			_ = s.send(grant.Message{Guest: &grant.Guest{Absent: absent}})
		}
	}
}

// reopen opens a port again that the switch has lost.
func (l *loop) reopen(index int) {
	resources, p := l.resources, l.resources.ports[index]
	if p.reopening {
		return // it comes
	}
	if p.handle != nil && p.handle.socket == nil {
		_ = p.handle.close()
		p.handle = nil
	}
	p.reopening = true
	go func() {
		h, err := p.reopen(resources.ctx)
		if !l.do(func() { l.reopened(resources, p, index, h, err) }) {
			p.abandon(h)
		}
	}()
}

func (l *loop) reopened(resources *resources, p *port, index int, h *handle, err error) {
	p.reopening = false
	switch {
	case l.resources != resources: // meanwhile nobody wants it any more
		p.abandon(h)
	case err != nil:
		l.release(err)
	default:
		p.handle = h
		for _, s := range []*session{l.current, l.next} {
			if s != nil && s.phase >= granted && s.phase < yielded {
				_ = s.send(resources.openedMessage(index), h.fd())
			}
		}
	}
}

// dial connects the switch to what the plan names.
func (l *loop) dial(s *session, d *grant.Dial) {
	resources := l.resources
	network, address, err := target(resources.plan, d)
	if err != nil {
		_ = s.enqueue(dialled(d, -1, err))
		return
	}
	select {
	case resources.dialSlots <- struct{}{}:
	default:
		_ = s.enqueue(dialled(d, -1, errBusy))
		return
	}
	go func() { // it may be slow: the loop goes on
		fd, err := dial(resources.ctx, network, address)
		answer := dialled(d, fd, err)
		answer.done = func() { <-resources.dialSlots }
		if !l.do(func() { _ = s.enqueue(answer) }) {
			answer.close()
		}
	}()
}

// dialled is the answer to a Dial, with the descriptor.
func dialled(d *grant.Dial, fd int, err error) outgoing {
	m := &grant.Dialled{ID: d.ID}
	if err != nil {
		m.Err = err.Error()
		return outgoing{Message: grant.Message{Dialled: m}}
	}
	return outgoing{Message: grant.Message{Dialled: m}, files: []int{fd}}
}
