package keeper

import (
	"errors"
	"testing"
	"time"

	"github.com/podswitch/podswitch/pod/grant"
)

// attachedMessage is Stopped from a switch with a hypervisor.
func attachedMessage() grant.Message { return grant.Message{Stopped: &grant.Stopped{Attached: true}} }

// newPausingKeeper returns a keeper with a hold time for stops.
func newPausingKeeper(t *testing.T, hold time.Duration) *testKeeper {
	t.Helper()
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.HoldSwitch, cfg.HoldStop = time.Minute, hold
	return newTestKeeperOf(t, dir, cfg, shortTimeouts())
}

// TestPause: the address stays taken after the stop of a switch while a hypervisor is attached, and is given back after any other stop, and
// when no other switch continues in time.
func TestPause(t *testing.T) {
	for name, test := range map[string]struct {
		hold   time.Duration
		answer grant.Message
		stays  bool
	}{
		"a hypervisor is attached":   {time.Minute, attachedMessage(), true},
		"no hypervisor is attached":  {time.Minute, stoppedMessage(), false},
		"there is no hold for stops": {0, attachedMessage(), false},
		"no other switch continues":  {50 * time.Millisecond, attachedMessage(), false},
	} {
		t.Run(name, func(t *testing.T) {
			k := newPausingKeeper(t, test.hold)
			f := k.running()
			f.sends(learnedMessage(`{"n":1}`))
			f.sends(byeMessage())
			f.receives("stop", 0)
			f.sends(test.answer)
			f.receivesEnd()
			if !test.stays {
				k.awaitWaiting()
				return
			}
			k.awaitState(holding)
			k.continues(`{"n":1}`).ends()
			k.awaitWaiting()
		})
	}
}

// TestPauseOfASlowSwitch: a switch whose answer may leave the address taken gets more time for it.
func TestPauseOfASlowSwitch(t *testing.T) {
	k := newPausingKeeper(t, time.Minute)
	f := k.running()
	f.sends(byeMessage())
	f.receives("stop", 0)
	_ = f.socket.SetReadDeadline(time.Now().Add(5 * shortTimeouts().stop))
	if m, _, err := f.Receive(); err == nil {
		t.Errorf("the keeper sends %s", m.Name())
	}
	f.sends(attachedMessage())
	k.awaitState(holding)
}

// TestPauseAfterAFailure: the stop of a switch that the keeper cannot go on with is no pause.
func TestPauseAfterAFailure(t *testing.T) {
	k := newPausingKeeper(t, time.Minute)
	f := k.running()
	k.inside(func() { k.loop.handle(failed, errors.New("it cannot go on")) })
	f.receives("stop", 0)
	f.sends(attachedMessage())
	k.awaitWaiting()
}

// TestShutdownWhilePaused: a keeper that ends in a pause leaves the address only to a keeper that can continue.
func TestShutdownWhilePaused(t *testing.T) {
	k := newPausingKeeper(t, time.Minute)
	f := k.running()
	f.sends(byeMessage())
	f.receives("stop", 0)
	f.sends(attachedMessage())
	k.awaitState(holding)
	k.inside(func() {
		if got := k.loop.shutdownEvent(); got != shutdown {
			t.Errorf("%v without a file of what the switch has reported", got)
		}
		k.loop.held.learned = openLearned(k.dir, k.loop.log)
		if got := k.loop.shutdownEvent(); got != paused {
			t.Errorf("%v, want paused", got)
		}
		l := k.loop.held.learned
		k.loop.held.learned = nil // the keeper of this test gives back
		l.close()
	})
}
