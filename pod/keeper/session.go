package keeper

import (
	"errors"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
)

// ready lets a switch that has built everything begin, once the address is taken or the switch before it has made room.
func (k *keeper) ready(c *client, r *grant.Ready) {
	c.phase = ready
	k.log.Debug("a switch is ready", zap.Int("process", c.pid), zap.String("sandbox", r.Sandbox))
	switch c {
	case k.next:
		k.askToYield()
		return
	case k.current:
	default: // it came too late
		return
	}
	if err := k.take(); err != nil {
		k.fail(c, err)
		return
	}
	k.begin(c, grant.Go{})
}

// begin tells a switch that the address is its.
func (k *keeper) begin(c *client, g grant.Go, files ...int) {
	c.phase = starting
	k.limit(c, starting, k.patience.start)
	_ = k.send(c, grant.Message{Go: &g}, files...)
}

// started is what follows when a switch is at work.
func (k *keeper) started(c *client) {
	c.phase = running
	if c == k.next {
		k.handedOver()
		return
	}
	if k.guestWatched {
		_ = k.send(c, grant.Message{Guest: &grant.Guest{Absent: k.absent}})
		return
	}
	k.watchGuest()
}

// take takes the address. From then on a watchdog knows.
func (k *keeper) take() (err error) {
	if p := k.keeping.plan; p != nil && p.Delegates() && !p.Mute {
		if k.watchdog, err = startWatchdog(k.cfg.Watchdog, k.log); err != nil {
			return err
		}
	}
	k.giveBack, err = k.taking(k.keeping)
	return err
}

// bye ends the time of a switch that wants that.
func (k *keeper) bye(c *client) {
	if c == k.current {
		k.release(nil)
		return
	}
	c.conn.Close()
}

// watchGuest tells the switch when the hypervisor lets go of the guest's device. Of a tap that podswitch holds itself, the other
// side may be in any namespace; its loss is seen by the port.
func (k *keeper) watchGuest() {
	k.absent, k.guestWatched = false, true
	keeping := k.keeping
	if keeping.plan == nil || keeping.ports[0].spec.Kind != hypervisor.KindPacket {
		return
	}
	states, err := podnet.Watch(keeping.ctx, keeping.ports[0].spec.Name)
	if err != nil {
		k.release(err)
		return
	}
	go func() {
		for s := range states {
			k.do(func() { k.guestIs(keeping, !s.Present || !s.Carrier) })
		}
		if keeping.ctx.Err() == nil {
			k.do(func() {
				if k.keeping == keeping {
					k.release(errors.New("the kernel does not tell of the guest's device any more"))
				}
			})
		}
	}()
}

func (k *keeper) guestIs(keeping *keeping, absent bool) {
	if k.keeping != keeping {
		return
	}
	k.absent = absent
	for _, c := range []*client{k.current, k.next} {
		if c != nil && c.phase == running {
			_ = k.send(c, grant.Message{Guest: &grant.Guest{Absent: absent}})
		}
	}
}

// reopen opens a port again that the switch has lost.
func (k *keeper) reopen(index int) {
	keeping, p := k.keeping, k.keeping.ports[index]
	if p.reopening {
		return // it comes
	}
	if p.opened != nil && p.opened.socket == nil {
		_ = p.opened.close()
		p.opened = nil
	}
	p.reopening = true
	go func() {
		o, err := p.reopen(keeping.ctx)
		if !k.do(func() { k.reopened(keeping, p, index, o, err) }) {
			p.abandon(o)
		}
	}()
}

func (k *keeper) reopened(keeping *keeping, p *port, index int, o *opened, err error) {
	p.reopening = false
	switch {
	case k.keeping != keeping: // meanwhile nobody wants it any more
		p.abandon(o)
	case err != nil:
		k.release(err)
	default:
		p.opened = o
		for _, c := range []*client{k.current, k.next} {
			if c != nil && c.phase >= granted && c.phase < yielded {
				_ = k.send(c, keeping.openedMessage(index), o.fd())
			}
		}
	}
}

// dial connects the switch to what the plan names.
func (k *keeper) dial(c *client, d *grant.Dial) {
	keeping := k.keeping
	network, address, err := target(keeping.plan, d)
	if err != nil {
		_ = k.post(c, dialled(d, -1, err))
		return
	}
	select {
	case keeping.working <- struct{}{}:
	default:
		_ = k.post(c, dialled(d, -1, errBusy))
		return
	}
	go func() { // it may be slow: the loop goes on
		fd, err := dial(keeping.ctx, network, address)
		answer := dialled(d, fd, err)
		answer.sent = func() { <-keeping.working }
		if !k.do(func() { _ = k.post(c, answer) }) {
			answer.end()
		}
	}()
}

// dialled is the answer to a Dial, with the descriptor.
func dialled(d *grant.Dial, fd int, err error) letter {
	m := &grant.Dialled{ID: d.ID}
	if err != nil {
		m.Err = err.Error()
		return letter{Message: grant.Message{Dialled: m}}
	}
	return letter{Message: grant.Message{Dialled: m}, files: []int{fd}}
}
