package keeper

// The life of a keeper: which switch answers for the pod address, and what changes that. The current switch is the one that answers
// for the address, or is about to; the next switch is to take over from it; the previous switch has yielded to it.
//
// Start, hold and stop. An arrow that leaves the frame holds for both states in it:
//
//	       address not taken     ┊  address taken
//	                             ┊           ┌─────────────────────────────────┐
//	idle ─ admitted ─▶ building ─┼─ taken ─▶ │ starting ── started ──▶ running ├─ bye, failed ─▶ stopping
//	                             ┊           └───▲───────────────────────┬────┬┘                    │ shutdown
//	                             ┊               │ ready            lost │    │                     ▼
//	                             ┊               │                       ▼    └── shutdown ──▶ shutting down
//	                             ┊            rebuilding ◀─ admitted ─ holding
//	                             ┊               │                       ▲
//	                             ┊               └──────── lost ─────────┘
//
// The remaining transitions lead to idle or ended. If the address is taken, the keeper gives it back on the way:
//
//	idle:                                              shutdown ─▶ ended
//	building:       lost, bye, failed ─▶ idle;         shutdown ─▶ ended
//	holding:        expired ─▶ idle;                   shutdown ─▶ ended
//	rebuilding:     expired, bye, failed ─▶ idle;      shutdown ─▶ ended
//	stopping:       stopped, lost ─▶ idle
//	shutting down:                                     stopped, lost ─▶ ended
//
// With a hold time for stops (Config.HoldStop), a stop while a hypervisor is attached is a pause. The address stays taken, and on the way
// to ended it is left for the next keeper:
//
//	stopping:                                          paused ─▶ holding
//	shutting down:                                     paused ─▶ ended
//	holding, rebuilding after a pause:                 paused ─▶ ended, in place of shutdown
//
// In holding and rebuilding nothing answers for the address: the current switch has ended unasked or has paused, and another one is awaited, or
// builds its ports. A keeper that finds the address taken, because the keeper before it was killed, begins there. In stopping and
// shutting down the keeper waits, for a bounded time, for the current switch to stop answering.
//
// A takeover:
//
//	running ─ next admitted ─▶ preparing ─ next ready ─▶ yielding ─ yielded ─▶ handing over ─ previous lost ─▶ committed
//	   ▲                           │                        │                    │      │ started                  │ started
//	   └──────── next lost ────────┘              next lost │          lost, bye │      │                          │
//	                                                        ▼                    ▼      ▼                          ▼
//	                                                recalling ─ yielded ─▶ starting    running                  running
//
// The states preparing to committed have the arrows lost, bye, failed and shutdown of the frame in the first drawing as well. The
// exceptions are lost and bye in handing over, where the previous switch can still begin again; its own bye leads to stopping.
type state uint8

// The states.
const (
	idle         state = iota // no switch is admitted; the address is the kernel's
	building                  // the current switch builds its ports
	starting                  // the address is taken; the current switch has been sent Begin
	running                   // the current switch forwards frames
	preparing                 // running, and the next switch builds its ports
	yielding                  // the next switch is ready; the current one has been sent Yield
	recalling                 // the next switch has failed after that; the current one will begin again when it has yielded
	handingOver               // the previous switch has yielded; the current one has been sent Begin in its place
	committed                 // handingOver, and the previous switch has disconnected: it cannot begin again
	holding                   // the last switch has ended unasked, or has paused; there is no other one yet
	rebuilding                // holding, and the current switch builds its ports
	stopping                  // the current switch has been sent Stop
	shuttingDown              // stopping, and the keeper ends afterwards
	ended                     // the keeper has ended; the address is the kernel's, or is left to the next keeper
	numStates
)

var stateNames = [numStates]string{"idle", "building", "starting", "running", "preparing", "yielding", "recalling", "handing over",
	"committed", "holding", "rebuilding", "stopping", "shutting down", "ended"}

// String returns the name that the drawing has.
func (st state) String() string { return stateNames[st] }

// stops reports whether the current switch has been asked to stop.
func (st state) stops() bool { return st == stopping || st == shuttingDown }

// An event is what may change the state.
type event uint8

const (
	admitted     event = iota // the resources of the current switch are open
	ready                     // the current switch has built its ports
	taken                     // the address has been taken
	started                   // the current switch forwards frames
	nextAdmitted              // a switch is to take over
	nextReady                 // the next switch has built its ports
	nextLost                  // the session of the next switch has ended, or it asked for its end
	yielded                   // the current switch has stopped, and has sent its snapshot
	previousLost              // the session of the switch that has yielded has ended
	previousBye               // the switch that has yielded asks for the end of the one that has replaced it
	lost                      // the session of the current switch has ended
	bye                       // the current switch asks for its end
	failed                    // the keeper cannot go on with the current switch
	stopped                   // the current switch has stopped answering for the address, or the time for that has passed
	paused                    // likewise, and the address stays taken for the next switch or the next keeper
	expired                   // no other switch has started in time, or too many have ended unasked
	shutdown                  // the keeper is to end
	numEvents
)

var eventNames = [numEvents]string{"admitted", "ready", "taken", "started", "next admitted", "next ready", "next lost", "yielded",
	"previous lost", "previous bye", "lost", "bye", "failed", "stopped", "paused", "expired", "shutdown"}

// String returns the name that the drawing has.
func (e event) String() string { return eventNames[e] }

// An action is what the keeper does on a transition. See (*loop).perform.
type action uint8

const (
	none             action = iota
	take                    // take the address; the event taken or failed follows
	begin                   // send Begin to the current switch
	beginAgain              // begin, with what the last switch has learned
	hold                    // forget all switches, and wait for another one, for a bounded time; the event expired may follow
	reportLinks             // send GuestState, UplinkState and Changed to the current switch, now and on each change
	dropNext                // forget the next switch
	askToYield              // send Yield to the current switch
	handOver                // make the next switch the current one, and send it Begin with the snapshot
	resume                  // send Begin with its own snapshot to the switch that has yielded
	discardHandover         // forget the snapshot
	completeTakeover        // end the takeover: close the session of the previous switch
	askToStop               // send Stop to the current switch
	release                 // the address is not taken: close the resources and the sessions of all switches that were admitted
	pause                   // hold, for the hold time of a stop
	leave                   // close the same as release, and leave the address taken
	giveBack                // give the address back, and then close the same
	numActions
)

var actionNames = [numActions]string{"none", "take", "begin", "begin again", "hold", "report links", "drop next", "ask to yield", "hand over", "resume",
	"discard handover", "complete takeover", "ask to stop", "release", "pause", "leave", "give back"}

// String returns the name of the action.
func (a action) String() string { return actionNames[a] }

// A transition is an entry of the table: the next state, and the action that follows.
type transition struct {
	next   state
	action action
}

// lifecycle is the table of the drawing above. An event that a state does not list changes nothing.
var lifecycle = [numStates]map[event]transition{
	idle: {
		admitted: {building, none},
		shutdown: {ended, none},
	},
	building: {
		ready:    {building, take},
		taken:    {starting, begin},
		lost:     {idle, release},
		bye:      {idle, release},
		failed:   {idle, release},
		shutdown: {ended, release},
	},
	starting: {
		started:  {running, reportLinks},
		lost:     {holding, hold},
		bye:      {stopping, askToStop},
		failed:   {stopping, askToStop},
		shutdown: {shuttingDown, askToStop},
	},
	running: {
		nextAdmitted: {preparing, none},
		lost:         {holding, hold},
		bye:          {stopping, askToStop},
		failed:       {stopping, askToStop},
		shutdown:     {shuttingDown, askToStop},
	},
	preparing: {
		nextReady: {yielding, askToYield},
		nextLost:  {running, dropNext},
		lost:      {holding, hold},
		bye:       {stopping, askToStop},
		failed:    {stopping, askToStop},
		shutdown:  {shuttingDown, askToStop},
	},
	yielding: {
		yielded:  {handingOver, handOver},
		nextLost: {recalling, dropNext},
		lost:     {holding, hold},
		bye:      {stopping, askToStop},
		failed:   {stopping, askToStop},
		shutdown: {shuttingDown, askToStop},
	},
	recalling: {
		yielded:  {starting, resume},
		lost:     {holding, hold},
		bye:      {stopping, askToStop},
		failed:   {stopping, askToStop},
		shutdown: {shuttingDown, askToStop},
	},
	handingOver: {
		started:      {running, completeTakeover},
		previousLost: {committed, discardHandover},
		previousBye:  {stopping, askToStop},
		lost:         {starting, resume},
		bye:          {starting, resume},
		failed:       {stopping, askToStop},
		shutdown:     {shuttingDown, askToStop},
	},
	committed: {
		started:  {running, completeTakeover},
		lost:     {holding, hold},
		bye:      {stopping, askToStop},
		failed:   {stopping, askToStop},
		shutdown: {shuttingDown, askToStop},
	},
	holding: {
		admitted: {rebuilding, none},
		expired:  {idle, giveBack},
		paused:   {ended, leave},
		shutdown: {ended, giveBack},
	},
	rebuilding: {
		ready:    {starting, beginAgain},
		lost:     {holding, hold},
		bye:      {idle, giveBack},
		failed:   {idle, giveBack},
		expired:  {idle, giveBack},
		paused:   {ended, leave},
		shutdown: {ended, giveBack},
	},
	stopping: {
		stopped:  {idle, giveBack},
		lost:     {idle, giveBack},
		paused:   {holding, pause},
		shutdown: {shuttingDown, none},
	},
	shuttingDown: {
		stopped: {ended, giveBack},
		lost:    {ended, giveBack},
		paused:  {ended, leave},
	},
	ended: {},
}

// after returns the entry of the table for an event.
func (st state) after(e event) transition {
	if t, ok := lifecycle[st][e]; ok {
		return t
	}
	return transition{st, none}
}
