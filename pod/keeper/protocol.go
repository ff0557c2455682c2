package keeper

import (
	"slices"

	"github.com/podswitch/podswitch/pod/grant"
)

// A phase is a session's: how far its switch has got. The loop changes it with enter. A session that has been closed stays closed;
// otherwise the lifecycle decides, and a switch that has yielded starts again when the takeover fails (action resume).
type phase uint8

const (
	phaseConnected phase = iota // it has sent nothing
	phaseBuilding               // it has its grant
	phaseReady                  // it has built its ports and waits for the address
	phaseStarting               // it has been told to begin
	phaseRunning                // it forwards frames
	phaseYielding               // it has been asked to yield
	phaseYielded                // it has yielded
	phaseStopping               // it has been told to stop answering for the address
	phaseClosed                 // the keeper sends nothing more, and ignores what arrives
	numPhases
)

// hasPorts reports whether the switch is to get the descriptor of a port that is open again. A switch that has yielded gets all of
// them when it starts again.
func (p phase) hasPorts() bool { return p >= phaseBuilding && p < phaseYielded }

// A kind is that of a message from a switch.
type kind uint8

const (
	kindHello kind = iota
	kindReady
	kindStarted
	kindYielded
	kindReopen
	kindDial
	kindBye
	kindStopped
	kindFault
	kindOther
	numKinds
)

var kindNames = [numKinds]string{"Hello", "Ready", "Started", "Yielded", "Reopen", "Dial", "Bye", "Stopped", "Fault", "known message"}

func (k kind) String() string { return kindNames[k] }

// allowed is which message a switch may send in which phase. Any other message ends the session.
//
//	          connected building ready starting running yielding yielded stopping
//	Hello         x
//	Ready                  x
//	Started                              x                                  x
//	Yielded                                               x                 x
//	Reopen                               x       x        x       x         x
//	Dial                                 x       x        x       x         x
//	Bye                    x       x     x       x        x       x         x
//	Stopped                                                                 x
//	Fault         x        x       x     x       x        x       x         x
//
// A switch that was told to stop may have sent Started or Yielded before it read that.
var allowed = [numKinds][]phase{
	kindHello:   {phaseConnected},
	kindReady:   {phaseBuilding},
	kindStarted: {phaseStarting, phaseStopping},
	kindYielded: {phaseYielding, phaseStopping},
	kindReopen:  {phaseStarting, phaseRunning, phaseYielding, phaseYielded, phaseStopping},
	kindDial:    {phaseStarting, phaseRunning, phaseYielding, phaseYielded, phaseStopping},
	kindBye:     {phaseBuilding, phaseReady, phaseStarting, phaseRunning, phaseYielding, phaseYielded, phaseStopping},
	kindStopped: {phaseStopping},
	kindFault: {phaseConnected, phaseBuilding, phaseReady, phaseStarting, phaseRunning, phaseYielding, phaseYielded,
		phaseStopping},
}

// allows reports whether a switch may send a message of this kind in this phase.
func (p phase) allows(k kind) bool { return slices.Contains(allowed[k], p) }

// awaited is the message that ends a phase of bounded duration (see timeouts.in).
var awaited = [numPhases]kind{phaseConnected: kindHello, phaseBuilding: kindReady, phaseStarting: kindStarted, phaseYielding: kindYielded,
	phaseStopping: kindStopped}

func kindOf(m *grant.Message) kind {
	switch {
	case m.Hello != nil:
		return kindHello
	case m.Ready != nil:
		return kindReady
	case m.Started != nil:
		return kindStarted
	case m.Yielded != nil:
		return kindYielded
	case m.Reopen != nil:
		return kindReopen
	case m.Dial != nil:
		return kindDial
	case m.Bye != nil:
		return kindBye
	case m.Stopped != nil:
		return kindStopped
	case m.Fault != nil:
		return kindFault
	}
	return kindOther
}
