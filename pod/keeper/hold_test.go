package keeper

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

func learnedMessage(text string) grant.Message {
	return grant.Message{Learned: &grant.Learned{State: json.RawMessage(text)}}
}

// newHoldingKeeper returns a keeper that holds the address for another switch.
func newHoldingKeeper(t *testing.T, hold time.Duration) *testKeeper {
	t.Helper()
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.HoldSwitch = hold
	return newTestKeeperOf(t, dir, cfg, shortTimeouts())
}

// awaitState waits for a state of the lifecycle.
func (k *testKeeper) awaitState(want state) {
	k.t.Helper()
	await(k.t, "the state "+want.String(), func() (reached bool) {
		k.inside(func() { reached = k.loop.state == want })
		return reached
	})
}

// continues brings a switch that connects while the address is held to its start, and checks what it continues with.
func (k *testKeeper) continues(learned string) *fake {
	k.t.Helper()
	f := k.granted(helloMessage())
	f.sends(readyMessage())
	if m, _ := f.receives("begin", 0); !m.Begin.Resumed || string(m.Begin.Learned) != learned || m.Begin.Snapshot != nil {
		k.t.Errorf("it continues with %+v", m.Begin)
	}
	f.starts(k)
	f.receives("guest_state", 0)
	return f
}

// TestHold: the address stays taken from the unasked end of a switch until the next one continues, with what the first one has learned.
// An orderly end gives it back at once.
func TestHold(t *testing.T) {
	k := newHoldingKeeper(t, time.Minute)
	f := k.running()
	f.sends(learnedMessage(`{"n":1}`))
	f.sends(learnedMessage(`{"n":2}`))
	f.Close()
	k.awaitState(holding)
	f = k.continues(`{"n":2}`)
	f.sends(faultMessage())
	f.receivesEnd()
	k.awaitState(holding)
	f = k.continues(`{"n":2}`)
	if taken, back := k.taken.Load(), k.back.Load(); taken != 1 || back != 0 {
		t.Errorf("taken %d times and given back %d times", taken, back)
	}
	f.ends()
	k.awaitWaiting()
	k.running().ends() // a fresh start
	k.awaitWaiting()
}

// TestHoldDuringTakeover: the end of the current switch ends a takeover, and the address stays taken.
func TestHoldDuringTakeover(t *testing.T) {
	k := newHoldingKeeper(t, time.Minute)
	first, next := k.yielding()
	first.Close()
	next.receivesEnd()
	k.awaitState(holding)
	if k.back.Load() != 0 {
		t.Error("the address was given back")
	}
	k.continues("").ends()
	k.awaitWaiting()
}

// TestHoldEnds: a hold ends when its time has passed, also while a switch builds its ports, and when too many switches have ended.
func TestHoldEnds(t *testing.T) {
	const short = 50 * time.Millisecond
	for _, c := range []struct {
		name string
		hold time.Duration
		do   func(k *testKeeper)
		want string
	}{
		{"no switch connects", short, func(k *testKeeper) { k.running().Close() }, "no other switch has started within 50ms: the switch has disconnected"},
		{"the next one is never ready", 4 * short, func(k *testKeeper) {
			k.running().Close()
			k.awaitState(holding)
			f := k.granted(helloMessage())
			f.sends(learnedMessage(`{}`)) // not allowed in this phase: it does not prolong the hold
			f.receivesEnd()
			k.granted(helloMessage()).receivesEnd()
		}, "no other switch has started within 200ms"},
		{"too many end", time.Minute, func(k *testKeeper) {
			k.running().Close()
			for range maxLosses {
				k.awaitState(holding)
				k.continues("").Close()
			}
		}, "the switch has ended unasked 6 times within 1m0s: the switch has disconnected"},
		{"the next one asks for its end", time.Minute, func(k *testKeeper) {
			k.running().Close()
			k.awaitState(holding)
			f := k.granted(helloMessage())
			f.sends(byeMessage())
			f.receivesEnd()
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newHoldingKeeper(t, c.hold)
			c.do(k)
			k.awaitWaiting()
			why := strings.Join(k.ended(), "\n")
			if (why == "") != (c.want == "") || !strings.Contains(why, c.want) {
				t.Errorf("the errors are %q, want %q", why, c.want)
			}
			if taken := k.taken.Load(); taken != 1 {
				t.Errorf("the address was taken %d times", taken)
			}
		})
	}
}

// TestStopWhileHolding: a keeper that is stopped gives back at once, without an error.
func TestStopWhileHolding(t *testing.T) {
	for _, withSwitch := range []bool{false, true} {
		k := newHoldingKeeper(t, time.Hour)
		k.running().Close()
		k.awaitState(holding)
		if withSwitch {
			k.granted(helloMessage())
		}
		k.end()
		if k.back.Load() != 1 {
			t.Error("the address was not given back")
		}
		k.result <- nil // for the cleanup
	}
}

// TestRunAgain: a keeper starts a switch that was killed again, and ends with the reason when that has happened too often. No process and no
// file is left.
func TestRunAgain(t *testing.T) {
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.HoldSwitch, cfg.Log = time.Minute, zap.NewNop()
	var started []*exec.Cmd
	spawn := func(end *os.File) *exec.Cmd {
		c := exec.Command("/proc/self/exe")
		c.Env, c.ExtraFiles = append(os.Environ(), roleVariable+"="+roleKilled), []*os.File{end}
		started = append(started, c)
		return c
	}
	result := make(chan error, 1)
	go func() { result <- Run(t.Context(), cfg, spawn, filepath.Join(dir, "keeper")) }()
	err := within(t, "the end", result)
	if err == nil || !strings.Contains(err.Error(), "ended unasked 6 times within 1m0s") || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the error is %v", err)
	}
	if len(started) != maxLosses+1 {
		t.Errorf("%d switches were started, want %d", len(started), maxLosses+1)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

// TestRunKillsTheOldOne: a switch that has only disconnected does not live beside the one that is started in its place.
func TestRunKillsTheOldOne(t *testing.T) {
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.HoldSwitch = time.Minute
	var started []*exec.Cmd
	spawn := func(end *os.File) *exec.Cmd {
		c := exec.Command("/proc/self/exe")
		c.Env, c.ExtraFiles = append(os.Environ(), roleVariable+"="+roleStays), []*os.File{end}
		if _, err := c.StdinPipe(); err != nil { // it stays open until the child has ended
			t.Error(err)
		}
		started = append(started, c)
		return c
	}
	result := make(chan error, 1)
	go func() { result <- Run(t.Context(), cfg, spawn, "") }()
	if err := within(t, "the end", result); err == nil {
		t.Error("the run ends without an error")
	}
	for _, c := range started {
		await(t, "the end of a process", func() bool { return errors.Is(unix.Kill(c.Process.Pid, 0), unix.ESRCH) })
	}
}

// TestHoldWithoutAControlSocket: a switch continues although the control socket cannot be opened again, and a later one has it again.
func TestHoldWithoutAControlSocket(t *testing.T) {
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.HoldSwitch, cfg.Control = time.Minute, filepath.Join(dir, "c", "control")
	if err := os.Mkdir(filepath.Dir(cfg.Control), 0o700); err != nil {
		t.Fatal(err)
	}
	k := newTestKeeperOf(t, dir, cfg, shortTimeouts())
	f := k.running()
	mode := func(m os.FileMode) {
		if err := os.Chmod(filepath.Dir(cfg.Control), m); err != nil {
			t.Fatal(err)
		}
	}
	mode(0o777) // in which a control socket is refused
	f.Close()
	k.awaitState(holding)
	mode(0o700)
	f = k.continues("")
	if _, err := os.Lstat(cfg.Control); err == nil {
		t.Error("there is a control socket: the test shows nothing")
	}
	f.Close()
	k.awaitState(holding)
	f = k.continues("")
	dialUnix(t, cfg.Control)
	f.ends()
	k.awaitWaiting()
}
