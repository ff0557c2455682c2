package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/tap"
)

// A Config has the parameters of a switch that the keeper does not send. All fields are required except Version, Takeover, StandBy and EncodedSettings.
type Config struct {
	Conn            *grant.Conn     // to the keeper; Run closes it
	Version         string          // of this program, for status
	Takeover        bool            // replace the running switch
	StandBy         bool            // wait while the keeper has another switch, in place of an error
	EncodedSettings json.RawMessage // with Takeover: settings in place of the keeper's; nil: no change
	EnterSandbox    EnterSandbox    // called once, before Ready is sent
	ExitCode        func(error) int // the exit code of a process that ends with this error, for the keeper
	Log             *zap.Logger     // required
}

// An EnterSandbox function gives up every privilege of the process irrevocably, except for its needs, and returns a description of the sandbox for
// status.
type EnterSandbox func(Needs) (report string, err error)

// Run is the switch process. It returns nil when the keeper has stopped it and when another switch has replaced it. When ctx is done it
// asks the keeper for a Stop, and works until then. Any other end is an error, which Run also sends to the keeper: ErrKeeperEnded, or one
// that is ErrNoGrant before the switch has begun, or what has failed.
func Run(ctx context.Context, cfg Config) error {
	defer cfg.Conn.Close()
	s, g, socket, err := newSession(ctx, &cfg)
	switch {
	case errors.Is(err, ErrKeeperEnded) && ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	defer s.close()
	defer socket.Close()
	if s.drops, err = tap.OpenLinkDrops(); err != nil {
		s.drops = nil
		cfg.Log.Debug("drops in a tap's own queue are not counted", zap.Error(err))
	}
	p := &process{cfg: cfg, session: s, grant: g, control: socket, log: cfg.Log}
	err = p.run(ctx)
	var fromKeeper *grant.Fault
	if err != nil && !errors.As(err, &fromKeeper) && !errors.Is(err, ErrKeeperEnded) {
		_ = cfg.Conn.Send(grant.Message{Fault: &grant.Fault{Text: err.Error(), Code: cfg.ExitCode(err)}})
	}
	return err
}

// A process is one switch from its grant to its end. Its fields are set before the work phase, and takeovers before each one.
type process struct {
	cfg       Config
	session   *session
	grant     *grant.Grant
	control   *os.File // the listening control socket
	log       *zap.Logger
	mode      mode
	sandbox   string         // the report of EnterSandbox
	changed   *grant.Changed // the last one; nil: the grant is up to date
	takeovers int
}

// run goes through the phases.
func (p *process) run(ctx context.Context) (err error) {
	if err := p.build(); err != nil {
		return err
	}
	defer func() { p.mode.close() }() // of the last build
	if !p.cfg.Takeover {
		if err := p.mode.open(ctx, nil); err != nil {
			return err
		}
	}
	if p.sandbox, err = p.cfg.EnterSandbox(needsOf(p.grant)); err != nil {
		return err
	}
	if err := p.session.conn.Send(grant.Message{Ready: &grant.Ready{Sandbox: p.sandbox}}); err != nil {
		return ErrKeeperEnded
	}
	return p.serve(ctx)
}

// build makes the forwarder and its services. It needs no port.
func (p *process) build() (err error) {
	if p.grant.Forwarder.Delegate != nil {
		p.mode, err = newDelegation(p.session, p.grant, p.log)
	} else {
		p.mode, err = newBridging(p.session, p.grant, p.log)
	}
	return err
}

// source returns the mode's source, with the fields of the status that both modes have.
func (p *process) source() control.Source {
	source := p.mode.source()
	status := source.Status
	source.Log = p.log
	source.Status = func() control.Status {
		s := status()
		s.Version = p.cfg.Version
		s.Sandbox, s.Takeovers, s.KeeperPID, s.SwitchPID = p.sandbox, p.takeovers, p.session.keeper, os.Getpid()
		return s
	}
	return source
}
