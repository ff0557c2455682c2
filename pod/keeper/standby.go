package keeper

import (
	"slices"

	"github.com/podswitch/podswitch/pod/grant"
)

// A keeper that listens lets a switch stand by while it has another one. For example, the switch of a container stands by after a switch of
// another container has taken over. It is admitted when the current switch ends, as if it connected then.

// maxStanding bounds the switches that stand by, so that there are sessions left for a takeover.
const maxStanding = 2

// A laterError refuses a switch that this keeper, or the next keeper, may serve later.
type laterError struct{ error }

// Unwrap returns the reason.
func (e *laterError) Unwrap() error { return e.error }

// standsBy reports whether a switch that says Hello is to stand by.
func (l *loop) standsBy(s *session, h *grant.Hello) bool {
	return s.notSwitch == nil && h.Version == grant.Version && !h.Takeover &&
		l.spawn == nil && l.current != nil && s != l.current && len(l.standing) < maxStanding
}

func (l *loop) standBy(s *session) {
	l.log.Info("a switch stands by", s.field("process"))
	l.standing = append(l.standing, s)
	l.enter(s, phaseStanding)
	_ = s.send(grant.Message{StandBy: &grant.StandBy{Switch: l.current.name()}})
}

// relieve admits the first switch that stands by, if the keeper has no switch.
func (l *loop) relieve() {
	if len(l.standing) == 0 || l.current != nil || l.state != idle && l.state != holding {
		return
	}
	s := l.standing[0]
	l.standing = l.standing[1:]
	l.receiveHello(s, &grant.Hello{Version: grant.Version})
}

// forgetStanding removes a switch that has disconnected.
func (l *loop) forgetStanding(s *session) {
	l.standing = slices.DeleteFunc(l.standing, func(other *session) bool { return other == s })
}
