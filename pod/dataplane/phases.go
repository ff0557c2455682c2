package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// serve repeats the phases from ready to yielded until the switch ends. A second round follows a takeover that failed.
func (p *process) serve(ctx context.Context) error {
	started, err := p.wait(ctx)
	for started && err == nil {
		yielded, failed := p.work(ctx)
		if failed != nil || !yielded {
			return failed
		}
		if err := p.handOver(); err != nil {
			return err
		}
		started, err = p.waitAgain()
	}
	return err
}

// wait waits for Begin, and then calls start. It reports false if the switch ends instead.
func (p *process) wait(ctx context.Context) (started bool, err error) {
	for {
		c, err := p.nextCommand(ctx)
		if errors.Is(err, context.Canceled) {
			_ = p.session.conn.Send(grant.Message{Bye: &grant.Bye{}})
			return false, nil
		}
		switch {
		case err != nil:
			return false, err
		case c.Stop != nil:
			return false, p.session.conn.Send(grant.Message{Stopped: &grant.Stopped{}})
		case c.Begin != nil:
			return true, p.start(ctx, c)
		}
	}
}

// waitAgain waits after a handover. A Begin means that the takeover failed; the end of the session means that the next switch works, or
// that podswitch ends.
func (p *process) waitAgain() (started bool, err error) {
	started, err = p.wait(context.Background())
	if errors.Is(err, ErrKeeperEnded) {
		p.log.Info("handed over")
		return false, nil
	}
	if started && err == nil {
		p.log.Warn("takeover failed, working again")
	}
	return started, err
}

// nextCommand waits for a command.
func (p *process) nextCommand(ctx context.Context) (command, error) {
	select {
	case c := <-p.session.commands:
		return c, nil
	case <-p.session.ended:
		return command{}, p.session.cause
	case <-ctx.Done():
		return command{}, ctx.Err()
	}
}

// start makes the mode ready for frames, from a snapshot if the Begin has one, and sends Started.
func (p *process) start(ctx context.Context, c command) error {
	p.takeovers = c.Begin.Takeovers
	switch {
	case c.Begin.Snapshot != nil:
		if err := p.resume(ctx, c); err != nil {
			return err
		}
	case len(p.mode.portList()) == 0 || len(c.files) > 0:
		return errors.Join(errors.New("the keeper sent a Begin without a snapshot to a switch that takes over"), grant.CloseFiles(c.files))
	case c.Begin.Resumed:
		p.mode.recall(c.Begin.Learned)
	default:
		p.mode.start()
	}
	if p.session.conn.Send(grant.Message{Started: &grant.Started{}}) != nil {
		return ErrKeeperEnded
	}
	return nil
}

// resume opens the ports and continues from the snapshot of a switch, which may be this one: its mode was built from the grant again, and the
// keeper has told it of later changes already.
func (p *process) resume(ctx context.Context, c command) error {
	before, err := readSnapshot(c.Begin, c.files, len(p.grant.Ports))
	if err == nil && p.changed != nil {
		err = p.mode.change(p.changed)
	}
	if err != nil {
		return errors.Join(err, grant.CloseFiles(c.files))
	}
	if err := p.mode.open(ctx, before); err != nil {
		return err
	}
	if err := before.resumeCounters(p.mode.portList()); err != nil {
		return err
	}
	return p.mode.resume(before)
}

// work forwards frames until the switch ends, or until it yields to another one.
func (p *process) work(ctx context.Context) (yielded bool, err error) {
	listener, err := net.FileListener(p.control)
	if err != nil {
		return false, err
	}
	working, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the keeper decides when work ends, not ctx
	defer cancel()
	group, working := errgroup.WithContext(working)
	m := p.mode
	group.Go(func() error { return p.forward(working) })
	group.Go(func() error { return control.Serve(working, listener, p.source()) })
	group.Go(func() error { return m.background(working) })
	group.Go(func() (err error) {
		defer cancel()
		yielded, err = p.handleCommands(ctx, working)
		return err
	})
	p.log.Info("ready")
	if err := group.Wait(); err != nil || !yielded {
		m.stop()
		return false, err
	}
	return true, nil
}

// forward runs the switch until ctx is done.
func (p *process) forward(ctx context.Context) (err error) {
	ports := unnamed(p.mode.portList())
	threads, err := tap.ShareThreads(ports)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, threads.Close()) }()
	return vswitch.New(p.mode.forwarder(), p.mode.now, ports...).Run(ctx)
}

// handleCommands executes commands until one ends the work phase, or working is done. It reports whether the switch yields. When ctx
// is done it sends Bye and continues: the switch answers for the address until the keeper sends Stop.
func (p *process) handleCommands(ctx, working context.Context) (yielded bool, err error) {
	asked := ctx.Done()
	for {
		select {
		case c := <-p.session.commands:
			switch {
			case c.GuestState != nil:
				p.setGuestAbsent(c.GuestState.Absent)
			case c.UplinkState != nil:
				p.mode.portList()[vswitch.PortUplink].link.noCarrier.Store(c.UplinkState.Down)
			case c.Changed != nil:
				p.changed = c.Changed
				if err := p.mode.change(c.Changed); err != nil {
					return false, err
				}
			case c.Yield != nil:
				return true, nil
			case c.Stop != nil:
				attached := p.isAttached()
				p.mode.stop()
				return false, p.session.conn.Send(grant.Message{Stopped: &grant.Stopped{Attached: attached}})
			default:
				_ = grant.CloseFiles(c.files)
			}
		case <-p.session.ended:
			return false, p.session.cause
		case <-asked:
			asked = nil
			if err := p.session.conn.Send(grant.Message{Bye: &grant.Bye{}}); err != nil {
				return false, ErrKeeperEnded
			}
		case <-working.Done():
			return false, nil // another goroutine of the group has failed
		}
	}
}

// setGuestAbsent applies a report of the keeper, which watches the device behind a packet socket. Any other port sees for itself whether its
// hypervisor is there.
func (p *process) setGuestAbsent(absent bool) {
	guest := p.mode.portList()[vswitch.PortGuest]
	if guest.kind != hypervisor.KindPacket {
		return
	}
	guest.link.isAlone.Store(absent)
	p.mode.setGuestAbsent(absent)
}

// isAttached reports whether a hypervisor is attached to the guest's port.
func (p *process) isAttached() bool {
	return p.mode.portList()[vswitch.PortGuest].link.state() == control.LinkUp
}

// handOver sends the snapshot after forwarding has ended, and builds the mode again, for a takeover that fails.
func (p *process) handOver() error {
	snap := p.mode.snapshot()
	snap.addPorts(p.mode.portList())
	text, err := json.Marshal(&snap)
	if err != nil {
		return err
	}
	err = p.session.conn.Send(grant.Message{Yielded: &grant.Yielded{Snapshot: text, Connections: snap.owners}}, snap.files...)
	if err != nil {
		return err
	}
	p.mode.close()
	return p.build()
}
