// Package dataplane is the switch at work between one guest and one pod, or between plain devices. It opens nothing: it gets
// descriptors and a plan from a keeper, which is another process, and asks that one for whatever takes a privilege. So it can be
// locked in before the first frame.
//
// Which of the two connection methods applies, the plan says: delegate.go moves the pod address to the guest, bridge.go runs a
// learning switch.
package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/vswitch"
)

// Config is what a switch is told by the one who starts it; everything else is the keeper's to say.
type Config struct {
	Conn     *grant.Conn
	Takeover bool            // go on in place of the switch that runs
	Settings json.RawMessage // with Takeover: settings in place of the keeper's own; nil: as they are
	LockIn   LockIn
	ExitCode func(error) int // of a process that ends with the error
	Log      *zap.Logger
}

// LockIn gives up every privilege for good, and says how, for people. Only who has datagram sockets needs paths to send to.
type LockIn func(datagrams bool) (report string, err error)

// An attachment is what differs between the connection methods.
type attachment interface {
	open(ctx context.Context, before *snapshot) error // makes the ports; nil: there was no switch before
	forwarder() vswitch.Forwarder
	begin()                           // the address is ours
	resume(s *snapshot) error         // the address was another switch's
	learned() snapshot                // what another switch goes on with, but for the ports
	guest(absent bool)                // the keeper says so
	yield()                           // the address is not ours any more
	attend(ctx context.Context) error // looks after what happens without a frame
	list() []namedPort                // the ports, in the forwarder's order
	source() control.Source           //
	since() time.Duration             // the switch's clock
	close()
}

// Run switches until ctx is done and the keeper has agreed, or until the keeper says so, and then returns nil; also when another
// switch has gone on in its place. Any other end is an error. The conversation is closed when it returns.
func Run(ctx context.Context, cfg Config) error {
	defer cfg.Conn.Close()
	heard := hangUpAfter(ctx, cfg.Conn)
	k, g, socket, err := meet(cfg.Conn, grant.Hello{Takeover: cfg.Takeover, Settings: cfg.Settings})
	close(heard)
	switch {
	case errors.Is(err, errKeeperEnded) && ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	defer k.end()
	defer socket.Close()
	s := &session{cfg: cfg, keeper: k, grant: g, control: socket, log: cfg.Log}
	err = s.run(ctx)
	var said *grant.Fault
	if err != nil && !errors.As(err, &said) && !errors.Is(err, errKeeperEnded) {
		_ = cfg.Conn.Send(grant.Message{Fault: &grant.Fault{Text: err.Error(), Code: cfg.ExitCode(err)}})
	}
	return err
}

// silence is how long a keeper may say nothing to a switch that is to end.
const silence = time.Second

// hangUpAfter ends a conversation some time after ctx, unless the channel that it returns was closed by then.
func hangUpAfter(ctx context.Context, conn *grant.Conn) (heard chan struct{}) {
	heard = make(chan struct{})
	context.AfterFunc(ctx, func() {
		select {
		case <-heard:
		case <-time.After(silence):
			conn.Close()
		}
	})
	return heard
}

// A session is one conversation with a keeper.
type session struct {
	cfg        Config
	keeper     *keeper
	grant      *grant.Grant
	control    *os.File // the listening control socket
	log        *zap.Logger
	attachment attachment
	sandbox    string
	takeovers  int
}

func (s *session) run(ctx context.Context) (err error) {
	if err := s.build(); err != nil {
		return err
	}
	defer func() { s.attachment.close() }()
	if !s.cfg.Takeover {
		if err := s.attachment.open(ctx, nil); err != nil {
			return err
		}
	}
	if s.sandbox, err = s.cfg.LockIn(s.datagrams()); err != nil {
		return err
	}
	if err := s.keeper.conn.Send(grant.Message{Ready: &grant.Ready{Sandbox: s.sandbox}}); err != nil {
		return errKeeperEnded
	}
	return s.serve(ctx)
}

// build makes everything that takes no descriptor of the keeper's.
func (s *session) build() (err error) {
	if s.grant.Forwarder.Delegate != nil {
		s.attachment, err = newDelegation(s.keeper, s.grant, s.log)
	} else {
		s.attachment, err = newBridging(s.keeper, s.grant, s.log)
	}
	return err
}

// datagrams tells whether a port may be a datagram socket.
func (s *session) datagrams() bool {
	return slices.ContainsFunc(s.grant.Ports, func(p grant.Port) bool { return p.Kind == hypervisor.KindDgram || p.Kind == hypervisor.KindFD })
}

// source is what the control socket shows.
func (s *session) source() control.Source {
	source := s.attachment.source()
	status := source.Status
	source.Log = s.log
	source.Status = func() control.Status {
		now := status()
		now.Sandbox, now.Takeovers, now.KeeperPID, now.SwitchPID = s.sandbox, s.takeovers, s.grant.Keeper, os.Getpid()
		return now
	}
	return source
}
