package keeper

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/podnet"
)

// soon is how long giving back may take on a busy machine: five times the timeout for Stopped.
const soon = time.Second

// TestStop checks that the address is given back soon after the keeper is stopped, whatever the switches do.
func TestStop(t *testing.T) {
	for name, reaches := range map[string]func(k *testKeeper) int32{
		"no switch":                  func(*testKeeper) int32 { return 0 },
		"a switch sends nothing":     func(k *testKeeper) int32 { k.connect(); return 0 },
		"a switch builds":            func(k *testKeeper) int32 { k.granted(helloMessage()); return 0 },
		"it does not answer":         func(k *testKeeper) int32 { k.running(); return 1 },
		"the next one builds":        func(k *testKeeper) int32 { k.running(); k.granted(takeoverMessage()); return 1 },
		"a switch is asked to yield": func(k *testKeeper) int32 { k.yielding(); return 1 },
		"it does not read":           func(k *testKeeper) int32 { k.running().readsNothing(outboxSize); return 1 },
		"the next one does not read": func(k *testKeeper) int32 { k.running(); k.granted(takeoverMessage()).readsNothing(0); return 1 },
		"it sends and does not read": func(k *testKeeper) int32 { go k.running().readsNothing(1 << 14); return 1 },
		"the next one starts":        func(k *testKeeper) int32 { k.beginning(); return 1 },
		"the next one has started":   func(k *testKeeper) int32 { k.handedOver(); return 1 },
		"the guest comes and goes":   func(k *testKeeper) int32 { f := k.running(); k.flap(); f.readsNothing(0); return 1 },
	} {
		t.Run(name, func(t *testing.T) {
			k := newTestKeeper(t, defaultTimeouts)
			taken := reaches(k)
			asked := time.Now()
			k.stop()
			err := within(t, "the end", k.result)
			k.result <- err // for the end of the test
			if took := time.Unix(0, k.backAt.Load()).Sub(asked); k.back.Load() != taken || took > soon {
				t.Errorf("given back %d times, after %s", k.back.Load(), took)
			}
		})
	}
}

// readsNothing sends requests, and does not read the answers.
func (f *fake) readsNothing(asks int) {
	for i := range uint64(asks) {
		f.sends(dialMessage(i, grant.Kept, 0))
	}
}

// flap changes the state of the guest more often than the outbox has room for.
func (k *testKeeper) flap() {
	k.inside(func() {
		for i := range 2 * outboxSize {
			k.loop.guestChanged(podnet.LinkState{Present: true, Carrier: i%2 == 1})
		}
	})
}

// beginning returns a switch that has yielded, and the next one, which has received Begin.
func (k *testKeeper) beginning() (first, next *fake) {
	k.t.Helper()
	first, next = k.yielding()
	first.sends(yieldedMessage())
	next.receives("begin", 0)
	return first, next
}

// TestStopWhileYielding checks that the next switch does not begin when the current one yields after a stop.
func TestStopWhileYielding(t *testing.T) {
	k := newTestKeeper(t, longStop())
	first, next := k.yielding()
	k.stop()
	first.receives("stop", 0)
	first.sends(yieldedMessage())
	next.receivesEnd()
	first.receivesEnd()
}

// TestStopWhileStarting checks that a stop waits for the next switch once that has received Begin.
func TestStopWhileStarting(t *testing.T) {
	for name, started := range map[string]bool{"it has not sent Started": false, "it has sent Started": true} {
		t.Run(name, func(t *testing.T) {
			k := newTestKeeper(t, longStop())
			first, next := k.beginning()
			k.stop()
			next.receives("stop", 0)
			if started {
				next.sends(grant.Message{Started: &grant.Started{}})
				next.sends(dialMessage(1, grant.Kept, 0))
				next.receives("dialled", 0) // the keeper has handled Started
			}
			if back := k.back.Load(); back != 0 {
				t.Error("the address was given back while a switch answers for it")
			}
			next.sends(stoppedMessage())
			next.receivesEnd()
			first.receivesEnd()
		})
	}
}

// TestGoneWhileStarting checks that a disconnect counts as Stopped.
func TestGoneWhileStarting(t *testing.T) {
	k := newTestKeeper(t, longStop())
	first, next := k.beginning()
	k.stop()
	next.receives("stop", 0)
	next.Close()
	first.receivesEnd()
}

// longStop has a timeout for Stopped that is longer than any test.
func longStop() timeouts {
	p := shortTimeouts()
	p.stop = time.Minute
	return p
}

// TestLateTimer checks that the timers of a switch that has ended do not affect the one after it.
func TestLateTimer(t *testing.T) {
	p := shortTimeouts()
	p.ready, p.start, p.stop, p.yield = time.Second, time.Second, time.Second, time.Second
	k := newTestKeeper(t, p)
	k.handedOver().ends() // sets all timers
	k.awaitWaiting()
	last := k.running()
	passed := make(chan struct{})
	timer := time.AfterFunc(p.stop+p.stop/10, func() { close(passed) })
	defer timer.Stop()
	within(t, "the timers", passed)
	last.sends(dialMessage(1, grant.Kept, 0))
	last.receives("dialled", 0) // and neither Stop nor the end
	last.ends()
	if why := k.ended(); why != nil {
		t.Errorf("the errors are %q", why)
	}
}

// TestFinishTwice checks that the end of a switch is handled once.
func TestFinishTwice(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	k.running()
	k.inside(func() {
		k.loop.handle(lost, nil)
		k.loop.handle(lost, nil)
		k.loop.handle(failed, nil)
	})
	k.awaitWaiting()
	if back := k.back.Load(); back != 1 {
		t.Errorf("given back %d times", back)
	}
}

// TestOpenFails checks that a keeper that cannot open a port sends the reason and leaves nothing open, and that it can open it later.
func TestOpenFails(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	obstacle := filepath.Join(k.dir, "b")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := openDescriptors(t)
	for range 3 {
		f := k.connect()
		f.sends(helloMessage())
		if m, _ := f.receives("fault", 0); !strings.Contains(m.Fault.Text, "is not a socket") {
			t.Errorf("the error is %q", m.Fault.Text)
		}
		f.receivesEnd()
		f.Close()
	}
	await(t, "all descriptors to be closed", func() bool { return openDescriptors(t) <= before })
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	k.running().ends()
	k.awaitWaiting()
}

func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
