package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// serve does what the keeper says until the end: it works, and if another switch was to go on in its place and has failed, it
// works again.
func (s *session) serve(ctx context.Context) error {
	begun, err := s.begin(ctx)
	for begun && err == nil {
		yielded, failed := s.work(ctx)
		if failed != nil || !yielded {
			return failed
		}
		if err := s.handOver(); err != nil {
			return err
		}
		begun, err = s.beginAgain()
	}
	return err
}

// begin waits for the keeper's word. It reports false if it was to end instead.
func (s *session) begin(ctx context.Context) (bool, error) {
	for {
		o, err := s.next(ctx)
		if errors.Is(err, context.Canceled) {
			_ = s.keeper.conn.Send(grant.Message{Bye: &grant.Bye{}})
			return false, nil
		}
		switch {
		case err != nil:
			return false, err
		case o.Stop != nil:
			return false, s.keeper.conn.Send(grant.Message{Stopped: &grant.Stopped{}})
		case o.Go != nil:
			return true, s.start(ctx, o)
		}
	}
}

// beginAgain waits until another switch has failed. Otherwise the keeper ends the conversation: another one goes on, or all ends.
func (s *session) beginAgain() (bool, error) {
	begun, err := s.begin(context.Background())
	if errors.Is(err, errKeeperEnded) {
		s.log.Info("this switch has handed over, and ends")
		return false, nil
	}
	if begun && err == nil {
		s.log.Warn("the switch that was to go on has failed")
	}
	return begun, err
}

// start takes up the work: from the beginning, or where a switch has stopped.
func (s *session) start(ctx context.Context, o order) error {
	s.takeovers = o.Go.Takeovers
	if o.Go.Snapshot == nil {
		if len(s.attachment.list()) == 0 || len(o.files) > 0 {
			return errors.Join(errors.New("the keeper says to go on, and not where another switch has stopped"), grant.CloseFiles(o.files))
		}
		s.attachment.begin()
	} else if err := s.resume(ctx, o); err != nil {
		return err
	}
	if s.keeper.conn.Send(grant.Message{Started: &grant.Started{}}) != nil {
		return errKeeperEnded
	}
	return nil
}

// resume goes on where a switch has stopped, this one or another one.
func (s *session) resume(ctx context.Context, o order) error {
	before, err := readSnapshot(o.Go, o.files, len(s.grant.Ports))
	if err != nil {
		return errors.Join(err, grant.CloseFiles(o.files))
	}
	if err := s.attachment.open(ctx, before); err != nil {
		return err
	}
	if err := before.resumePorts(s.attachment.list()); err != nil {
		return err
	}
	return s.attachment.resume(before)
}

// next waits for what the keeper says unasked.
func (s *session) next(ctx context.Context) (order, error) {
	select {
	case o := <-s.keeper.orders:
		return o, nil
	case <-s.keeper.ended:
		return order{}, s.keeper.why
	case <-ctx.Done():
		return order{}, ctx.Err()
	}
}

// work switches until the end, or until another switch is to go on.
func (s *session) work(ctx context.Context) (yielded bool, err error) {
	listener, err := net.FileListener(s.control)
	if err != nil {
		return false, err
	}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	group, inner := errgroup.WithContext(inner)
	a := s.attachment
	group.Go(func() error { return s.forward(inner) })
	group.Go(func() error { return control.Serve(inner, listener, s.source()) })
	group.Go(func() error { return a.attend(inner) })
	group.Go(func() (err error) {
		defer cancel()
		yielded, err = s.obey(ctx, inner)
		return err
	})
	s.log.Info("ready")
	if err := group.Wait(); err != nil || !yielded {
		a.yield()
		return false, err
	}
	return true, nil
}

// forward switches until ctx is done.
func (s *session) forward(ctx context.Context) (err error) {
	ports := bare(s.attachment.list())
	threads, err := tap.ShareThreads(ports)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, threads.Close()) }()
	return vswitch.New(s.attachment.forwarder(), s.attachment.since, ports...).Run(ctx)
}

// obey does what the keeper says until the end. It reports whether another switch is to go on. One who asks this process to end
// asks the keeper: the address has to go back first.
func (s *session) obey(ctx, inner context.Context) (yielded bool, err error) {
	asked := ctx.Done()
	for {
		select {
		case o := <-s.keeper.orders:
			switch {
			case o.Guest != nil:
				s.attachment.guest(o.Guest.Absent)
			case o.Yield != nil:
				return true, nil
			case o.Stop != nil:
				s.attachment.yield()
				return false, s.keeper.conn.Send(grant.Message{Stopped: &grant.Stopped{}})
			default:
				_ = grant.CloseFiles(o.files)
			}
		case <-s.keeper.ended:
			return false, s.keeper.why
		case <-asked:
			asked = nil
			if err := s.keeper.conn.Send(grant.Message{Bye: &grant.Bye{}}); err != nil {
				return false, errKeeperEnded
			}
		case <-inner.Done():
			return false, nil // something else has failed
		}
	}
}

// handOver says what is known, when nothing moves any more, and makes ready for going on nevertheless.
func (s *session) handOver() error {
	after := s.attachment.learned()
	after.takePorts(s.attachment.list())
	text, err := json.Marshal(&after)
	if err != nil {
		return err
	}
	err = s.keeper.conn.Send(grant.Message{Yielded: &grant.Yielded{Snapshot: text, Connections: after.owners}}, after.files...)
	if err != nil {
		return err
	}
	s.attachment.close()
	return s.build()
}
