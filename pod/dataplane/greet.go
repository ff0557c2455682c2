package dataplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/pod/grant"
)

// ErrNoGrant is in the chain of an error after which this keeper, or the next keeper, may grant later what this one has not: the keeper has
// ended, has another version of the protocol, or has enough other switches.
var ErrNoGrant = errors.New("the keeper has granted nothing")

// A noGrantError is an ErrNoGrant with the text of its cause.
type noGrantError struct{ error }

func (e noGrantError) Unwrap() []error { return []error{e.error, ErrNoGrant} }

// handshakeTimeout bounds the handshake after ctx is done.
const handshakeTimeout = time.Second

// greet sends Hello, and returns the answer. If the keeper has another switch and Config.StandBy is set, it waits for the end of that one.
func greet(ctx context.Context, cfg *Config) (m grant.Message, files []int, err error) {
	greeted := make(chan struct{})
	defer close(greeted)
	closeAfter(ctx, cfg.Conn, greeted)
	hello := grant.Hello{Version: grant.Version, Takeover: cfg.Takeover, Settings: cfg.EncodedSettings}
	sendErr := cfg.Conn.Send(grant.Message{Hello: &hello})
	m, files, err = cfg.Conn.Receive() // even after a failed Send: a Fault may say why
	if err == nil && m.StandBy != nil {
		if !cfg.StandBy {
			return m, files, errOtherSwitch(m.StandBy)
		}
		cfg.Log.Info("standing by: the keeper has another switch", zap.String("switch", m.StandBy.Switch))
		defer context.AfterFunc(ctx, func() { cfg.Conn.Close() })() // nothing is to be finished
		m, files, err = cfg.Conn.Receive()
	}
	return m, files, explain(m, cmp.Or(err, sendErr))
}

// explain returns the error of a keeper that has granted nothing. It is nil if m may be a grant.
func explain(m grant.Message, err error) error {
	switch {
	case m.Fault != nil && m.Fault.Code == grant.TryLater:
		return noGrantError{m.Fault}
	case m.Fault != nil:
		return m.Fault
	case errors.Is(err, grant.ErrInvalid):
		return noGrantError{&missing.Error{What: "use this keeper", Need: fmt.Sprintf("a keeper with version %d of the protocol", grant.Version),
			Give: "use the same podswitch on both sides", Err: err}}
	case err != nil && m.Grant == nil:
		return noGrantError{fmt.Errorf("%w before it granted anything: %w", ErrKeeperEnded, err)}
	}
	return nil
}

// errOtherSwitch is the error of a switch that is not to stand by.
func errOtherSwitch(s *grant.StandBy) error {
	return &missing.Error{What: "start the switch", Need: fmt.Sprintf("a keeper without another switch, and this one serves %s", s.Switch),
		Give: "end that switch, or use --takeover"}
}

// closeAfter closes conn handshakeTimeout after ctx is done, unless greeted is closed first.
func closeAfter(ctx context.Context, conn *grant.Conn, greeted chan struct{}) {
	context.AfterFunc(ctx, func() {
		select {
		case <-greeted:
		case <-time.After(handshakeTimeout):
			conn.Close()
		}
	})
}
