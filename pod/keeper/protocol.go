package keeper

import "slices"

// A phase is the state of a session: how far its switch has got. The loop changes it with enter, on a message or an action of the
// lifecycle. Phases follow one another in this order, with one exception: a switch that has yielded starts again when the takeover
// fails (action resume). A closed session stays closed.
type phase uint8

const (
	phaseConnected phase = iota // it has sent nothing
	phaseStanding               // it waits until the keeper has no other switch
	phaseBuilding               // it has its grant
	phaseReady                  // it has built its ports and waits for the address
	phaseStarting               // the keeper has sent it Begin
	phaseRunning                // it forwards frames
	phaseYielding               // the keeper has sent it Yield
	phaseYielded                // it has yielded
	phaseStopping               // the keeper has sent it Stop
	phaseClosed                 // the keeper sends nothing more, and ignores what arrives
	numPhases
)

var phaseNames = [numPhases]string{"connected", "standing", "building", "ready", "starting", "running", "yielding", "yielded", "stopping", "closed"}

// String returns the name that the table of messages has.
func (ph phase) String() string { return phaseNames[ph] }

// hasPorts reports whether the switch is to get the descriptor of a port that is open again. A switch that has yielded gets all of
// them when it starts again.
func (ph phase) hasPorts() bool { return ph >= phaseBuilding && ph < phaseYielded }

// allowed has the phases in which a switch may send a message, by the name of the message. Any other message ends the session. The table
// in the documentation of package grant has the same, and the messages of the keeper.
//
//	          connected standing building ready starting running yielding yielded stopping
//	ask           x
//	hello         x
//	ready                           x
//	started                                       x                                  x
//	yielded                                                        x                 x
//	reopen                                        x       x        x       x         x
//	dial                                          x       x        x       x         x
//	learned                                       x       x        x       x         x
//	bye                             x       x     x       x        x       x         x
//	stopped                                                                          x
//	fault         x        x        x       x     x       x        x       x         x
//
// A switch may have sent started or yielded before it received Stop.
var allowed = map[string][]phase{
	"ask":     {phaseConnected},
	"hello":   {phaseConnected},
	"ready":   {phaseBuilding},
	"started": {phaseStarting, phaseStopping},
	"yielded": {phaseYielding, phaseStopping},
	"reopen":  {phaseStarting, phaseRunning, phaseYielding, phaseYielded, phaseStopping},
	"dial":    {phaseStarting, phaseRunning, phaseYielding, phaseYielded, phaseStopping},
	"learned": {phaseStarting, phaseRunning, phaseYielding, phaseYielded, phaseStopping},
	"bye":     {phaseBuilding, phaseReady, phaseStarting, phaseRunning, phaseYielding, phaseYielded, phaseStopping},
	"stopped": {phaseStopping},
	"fault": {phaseConnected, phaseStanding, phaseBuilding, phaseReady, phaseStarting, phaseRunning, phaseYielding, phaseYielded,
		phaseStopping},
}

// allows reports whether a switch may send a message of this name in this phase.
func (ph phase) allows(name string) bool { return slices.Contains(allowed[name], ph) }

// awaited is the message that ends a phase of bounded duration (see timeouts.in).
var awaited = [numPhases]string{phaseConnected: "hello", phaseBuilding: "ready", phaseStarting: "started", phaseYielding: "yielded",
	phaseStopping: "stopped"}
