package keeper

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/pod/plan"
)

// maxSessions bounds the switches that are connected at once.
const maxSessions = 8

// A loop is the keeper's event loop and its state. Other goroutines pass functions to it with do. The fields below takeAddress belong
// to the goroutine of run; those above do not change.
type loop struct {
	cfg   Config
	log   *zap.Logger
	tasks chan func()
	done  chan struct{} // closed when run has returned

	timeouts    timeouts
	uid         int // of this process
	takeAddress func(*resources) (undo func() error, err error)

	state          state
	endsWithSwitch bool                         // the keeper has started its first switch, and ends with that or with the one that replaces it
	spawn          func(end *os.File) *exec.Cmd // makes the command of a switch; nil: switches connect
	child          *child                       // the last switch that the keeper has started; nil: there is none
	cause          error                        // of the last event; in stopping and shuttingDown, of the first event of the teardown
	err            error                        // what run returns

	control    *unixsocket.Listener // of a keeper that outlives its switches; nil: the resources have it
	endAnswers context.CancelFunc   // ends the answers at control; nil: there are none
	isHolding  atomic.Bool          // the state is holding; for waitingStatus

	sessions map[*session]bool // with those of which something is still to be closed
	writers  sync.WaitGroup
	current  *session   // the switch that answers for the address, or is about to; nil: there is none
	next     *session   // the switch that is to take over; nil: there is none
	standing []*session // switches that stand by, in the order of their arrival
	previous *session   // in handingOver and committed: the switch that has yielded; otherwise nil or closed

	resources *resources   // nil in idle and ended
	undoTake  func() error // gives the address back; nil: it is not taken
	watchdog  *watchdog    // nil: the address is not taken off the interface
	nextPlan  *plan.Plan   // of the next switch, if its Hello has settings; otherwise nil
	held      holdState
	handover  *handover // the snapshot of the switch that has yielded; nil: there is none
	links     linkState
	postponed []int         // ports to be opened again if the takeover fails
	takeovers int           // completed ones
	unrevoked []*revocation // those that switches have kept from ending
}

func newLoop(cfg Config) *loop {
	return &loop{cfg: cfg, log: cfg.Log, tasks: make(chan func()), done: make(chan struct{}), sessions: map[*session]bool{},
		timeouts: defaultTimeouts, uid: os.Geteuid(), takeAddress: (*resources).takeAddress}
}

// serveChild makes the keeper's own child the current switch.
func (l *loop) serveChild(c *child) {
	l.endsWithSwitch = true
	l.current = l.connect(c.conn, c.command.Process.Pid, os.Geteuid())
}

// run executes one task after the other until the keeper ends.
func (l *loop) run(ctx context.Context) error {
	defer close(l.done)
	l.answer()
	canceled := ctx.Done()
	for l.state != ended {
		select {
		case task := <-l.tasks:
			task()
			l.relieve()
		case <-canceled:
			canceled = nil
			l.handle(l.shutdownEvent(), nil)
		}
	}
	for s := range l.sessions {
		s.close()
	}
	l.writers.Wait()
	return l.err
}

// do passes a task to the loop, and reports whether the loop executes it: it does not once it has ended.
func (l *loop) do(task func()) bool {
	select {
	case l.tasks <- task:
		return true
	case <-l.done:
		return false
	}
}

// handle changes the state as the lifecycle has it, and performs the action. The cause is the error behind the
// event; nil: the event is not a failure. Events in stopping and shuttingDown do not change the cause, so that finish reports the error
// that the teardown began with.
func (l *loop) handle(e event, cause error) {
	t := l.state.after(e)
	if !l.state.stops() {
		l.cause = cause
	}
	if l.state != t.next {
		l.log.Debug("state", zap.Stringer("event", e), zap.Stringer("from", l.state), zap.Stringer("to", t.next))
	}
	l.state = t.next
	l.perform(t.action)
	l.answer()
}
