package keeper

import (
	"fmt"
	"slices"
	"testing"
)

// TestLifecycle checks the transition for each pair of a state and an event: those of the list, and no change for all others.
func TestLifecycle(t *testing.T) {
	type pair struct {
		state state
		event event
	}
	changes := map[pair]transition{}
	list := func(e event, a action, to state, from ...state) {
		for _, s := range from {
			changes[pair{s, e}] = transition{to, a}
		}
	}
	list(admitted, none, building, idle)
	list(ready, take, building, building)
	list(taken, begin, starting, building)
	list(started, reportLinks, running, starting)
	list(nextAdmitted, none, preparing, running)
	list(nextReady, askToYield, yielding, preparing)
	list(nextLost, dropNext, running, preparing)
	list(nextLost, dropNext, recalling, yielding)
	list(yielded, handOver, handingOver, yielding)
	list(yielded, resume, starting, recalling)
	list(started, completeTakeover, running, handingOver, committed)
	list(previousLost, discardHandover, committed, handingOver)
	list(previousBye, askToStop, stopping, handingOver)
	list(lost, resume, starting, handingOver)
	list(bye, resume, starting, handingOver)
	list(lost, release, idle, building)
	list(bye, release, idle, building)
	list(failed, release, idle, building)
	list(shutdown, release, ended, building)
	list(lost, hold, holding, starting, running, preparing, yielding, recalling, committed, rebuilding)
	list(lost, giveBack, idle, stopping)
	list(admitted, none, rebuilding, holding)
	list(ready, beginAgain, starting, rebuilding)
	list(expired, giveBack, idle, holding, rebuilding)
	list(bye, giveBack, idle, rebuilding)
	list(failed, giveBack, idle, rebuilding)
	list(shutdown, giveBack, ended, holding, rebuilding)
	list(bye, askToStop, stopping, starting, running, preparing, yielding, recalling, committed)
	list(failed, askToStop, stopping, starting, running, preparing, yielding, recalling, handingOver, committed)
	list(shutdown, askToStop, shuttingDown, starting, running, preparing, yielding, recalling, handingOver, committed)
	list(shutdown, none, shuttingDown, stopping)
	list(shutdown, none, ended, idle)
	list(stopped, giveBack, idle, stopping)
	list(stopped, giveBack, ended, shuttingDown)
	list(lost, giveBack, ended, shuttingDown)
	list(paused, pause, holding, stopping)
	list(paused, leave, ended, shuttingDown, holding, rebuilding)
	for s := range numStates {
		for e := range numEvents {
			want, ok := changes[pair{s, e}]
			if !ok {
				want = transition{s, none}
			}
			if got := s.after(e); got != want {
				t.Errorf("%v, %v: %v and %v, want %v and %v", s, e, got.next, got.action, want.next, want.action)
			}
		}
	}
}

// TestNames checks that each state, event, action and phase has a name.
func TestNames(t *testing.T) {
	for _, names := range [][]string{stateNames[:], eventNames[:], actionNames[:], phaseNames[:]} {
		for i, name := range names {
			if name == "" || slices.Index(names, name) != i {
				t.Errorf("name %d of %q is empty or not unique", i, names)
			}
		}
	}
}

// A modelSwitch is a switch in a scenario.
type modelSwitch struct {
	present  bool
	answers  bool // for the address
	starting bool // it has received Begin, and has not started
	ready    bool // it has built its ports
	yielding bool // it was asked to
	stopping bool // it was asked to
}

// A scenario is the state, the address, and the switches of each role.
type scenario struct {
	state                   state
	taken                   bool
	waits                   bool // the hold time runs
	current, next, previous modelSwitch
}

// possible reports whether an event can occur.
func (sc scenario) possible(e event) bool {
	c := sc.current
	switch e {
	case admitted:
		return sc.state == idle || sc.state == holding
	case ready:
		return c.present && !c.ready
	case started:
		return c.present && c.starting
	case nextAdmitted:
		return sc.state == running // admitNext refuses it otherwise
	case nextReady:
		return sc.next.present && !sc.next.ready
	case nextLost:
		return sc.next.present
	case yielded:
		return c.present && c.yielding && !c.stopping // receiveYielded makes stopped of it otherwise
	case previousLost, previousBye:
		return sc.previous.present
	case lost, bye:
		return c.present
	case failed:
		return c.present
	case stopped:
		return c.stopping
	case expired:
		return sc.waits
	case shutdown:
		return true
	}
	return false // taken follows the action take
}

// apply is what an event does to a scenario, by itself and by the action that the table gives. With fails, an action that can fail
// does. The error is a violation of an invariant.
func (sc scenario) apply(e event, fails bool) (scenario, error) {
	switch e {
	case admitted:
		sc.current = modelSwitch{present: true}
	case ready:
		sc.current.ready = true
	case started:
		sc.current.starting = false
		sc.waits = sc.waits && sc.state != starting // reportLinks ends the hold
	case expired:
		sc.waits = false
	case nextAdmitted:
		sc.next = modelSwitch{present: true}
	case nextReady:
		sc.next.ready = true
	case nextLost:
		sc.next = modelSwitch{}
	case yielded:
		sc.current.answers, sc.current.yielding = false, false
	case previousLost:
		sc.previous = modelSwitch{}
	case lost:
		sc.current = modelSwitch{}
	case bye:
		sc.current.answers = sc.current.answers && sc.state != handingOver // its session is closed there
	}
	change := sc.state.after(e)
	sc.state = change.next
	return sc.perform(change.action, fails)
}

func (sc scenario) perform(a action, fails bool) (scenario, error) {
	switch a {
	case take:
		if sc.taken {
			return sc, fmt.Errorf("the address is taken twice")
		}
		if fails {
			return sc.apply(failed, false)
		}
		sc.taken = true
		return sc.apply(taken, false)
	case hold:
		sc = scenario{state: sc.state, taken: sc.taken, waits: true}
		if fails {
			return sc.apply(expired, false)
		}
	case begin, beginAgain:
		if !sc.taken {
			return sc, fmt.Errorf("a switch begins without the address")
		}
		sc.current.answers, sc.current.starting = true, true
	case askToYield:
		sc.current.yielding = true
	case handOver:
		if !sc.next.present || !sc.next.ready {
			return sc, fmt.Errorf("no switch is ready to begin")
		}
		sc.previous, sc.current, sc.next = sc.current, sc.next, modelSwitch{}
		sc.current.answers, sc.current.starting = true, true
	case resume:
		if sc.previous.present {
			sc.current, sc.previous = sc.previous, modelSwitch{}
		}
		if !sc.current.present {
			return sc, fmt.Errorf("no switch is left to begin again")
		}
		sc.current.answers, sc.current.starting = true, true
	case dropNext:
		sc.next = modelSwitch{}
	case completeTakeover:
		sc.previous = modelSwitch{}
	case askToStop:
		sc.current.stopping = true
		if fails {
			return sc.apply(stopped, false)
		}
	case giveBack, release:
		if sc.taken != (a == giveBack) {
			return sc, fmt.Errorf("%v, and the address is taken: %v", a, sc.taken)
		}
		sc = scenario{state: sc.state}
	}
	return sc, sc.check()
}

// check returns the invariant that a scenario violates.
func (sc scenario) check() error {
	answering := 0
	for _, s := range []modelSwitch{sc.current, sc.next, sc.previous} {
		if s.answers {
			answering++
		}
	}
	mayBeTaken := !slices.Contains([]state{idle, building, ended}, sc.state)
	switch {
	case answering > 1:
		return fmt.Errorf("%d switches answer for the address", answering)
	case answering > 0 && !sc.taken:
		return fmt.Errorf("a switch and the kernel answer for the address")
	case sc.taken != mayBeTaken:
		return fmt.Errorf("the address is taken: %v", sc.taken)
	case (sc.state == idle || sc.state == ended || sc.state == holding) == sc.current.present:
		return fmt.Errorf("there is a current switch: %v", sc.current.present)
	case (sc.state == holding || sc.state == rebuilding) && (answering > 0 || !sc.waits):
		return fmt.Errorf("while the address is held, %d switches answer, and the time is bounded: %v", answering, sc.waits)
	}
	return nil
}

// TestLifecycleProperties explores every scenario that can be reached. In none of them do two switches answer for the address, the address is
// given back exactly once each time that it was taken, and a shutdown leads to the end with the address given back. While the address is held,
// no switch answers, and the hold time ends it.
func TestLifecycleProperties(t *testing.T) {
	start, found := scenario{}, scenario{state: holding, taken: true, waits: true} // of a keeper that finds the address taken
	seen := map[scenario]bool{start: true, found: true}
	states := map[state]bool{}
	for queue := []scenario{start, found}; len(queue) > 0; queue = queue[1:] {
		sc := queue[0]
		states[sc.state] = true
		checkShutdown(t, sc)
		checkHold(t, sc)
		for e := range numEvents {
			for _, fails := range []bool{false, true} {
				if !sc.possible(e) {
					continue
				}
				after, err := sc.apply(e, fails)
				if err != nil {
					t.Errorf("%+v, %v: %v", sc, e, err)
				}
				if !seen[after] {
					seen[after] = true
					queue = append(queue, after)
				}
			}
		}
	}
	if len(states) != int(numStates) {
		t.Errorf("%d states are reached, want %d", len(states), numStates)
	}
	t.Logf("%d scenarios", len(seen))
}

// checkShutdown stops the keeper, with a switch that then stops, or disconnects.
func checkShutdown(t *testing.T, sc scenario) {
	t.Helper()
	for _, last := range []event{stopped, lost} {
		after, err := sc.apply(shutdown, false)
		if err == nil && after.state != ended {
			after, err = after.apply(last, false)
		}
		if err != nil || after.state != ended || after.taken {
			t.Errorf("%+v, shutdown and %v: %+v, %v", sc, last, after, err)
		}
	}
}

// checkHold lets the hold time pass: the address is given back, and no switch is left.
func checkHold(t *testing.T, sc scenario) {
	t.Helper()
	if sc.state != holding && sc.state != rebuilding {
		return
	}
	if after, err := sc.apply(expired, false); err != nil || after != (scenario{state: idle}) {
		t.Errorf("%+v, expired: %+v, %v", sc, after, err)
	}
	if after, err := sc.apply(shutdown, false); err != nil || after != (scenario{state: ended}) {
		t.Errorf("%+v, shutdown: %+v, %v", sc, after, err)
	}
}
