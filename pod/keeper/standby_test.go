package keeper

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/pod/grant"
)

// standing returns a switch that stands by, beside the running one.
func (k *testKeeper) standing() *fake {
	k.t.Helper()
	f := k.connect()
	f.sends(helloMessage())
	f.receives("stand_by", 0)
	return f
}

// admitted receives the grant of a switch that has stood by, and brings it to its start.
func (f *fake) admitted(k *testKeeper) {
	k.t.Helper()
	f.receivesGrant()
	f.sends(readyMessage())
	f.receives("begin", 0)
	f.starts(k)
}

// TestStandBy: a switch that connects while there is another one goes on when that one has ended, with or without a hold.
func TestStandBy(t *testing.T) {
	for name, test := range map[string]struct {
		hold   time.Duration
		end    func(f *fake)
		resume bool
	}{
		"it ends unasked in a hold": {time.Minute, func(f *fake) { f.Close() }, true},
		"it ends unasked":           {0, func(f *fake) { f.Close() }, false},
		"it is asked to end":        {time.Minute, (*fake).ends, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := newHoldingKeeper(t, test.hold)
			first := k.running()
			second, third := k.standing(), k.standing()
			test.end(first)
			second.admitted(k)
			if back, want := k.back.Load() == 0, test.resume; back != want {
				t.Errorf("the address stayed taken: %t, want %t", back, want)
			}
			second.Close()
			third.admitted(k)
		})
	}
}

// TestStandByDuringATakeover: a switch that stands by keeps no switch from taking over, and goes on after it.
func TestStandByDuringATakeover(t *testing.T) {
	k := newHoldingKeeper(t, time.Minute)
	first := k.running()
	waiting := k.standing()
	next := k.granted(takeoverMessage())
	next.sends(readyMessage())
	first.receives("yield", 0)
	first.sends(yieldedMessage())
	next.receives("begin", 0)
	next.starts(k)
	first.receivesEnd()
	next.Close()
	waiting.admitted(k)
}

// TestStandByLimits: a bounded number of switches stands by, one that has disconnected is forgotten, and one may only wait.
func TestStandByLimits(t *testing.T) {
	k := newHoldingKeeper(t, time.Minute)
	first := k.running()
	var all []*fake
	for range maxStanding {
		all = append(all, k.standing())
	}
	tooMany := k.connect()
	tooMany.sends(helloMessage())
	if m, _ := tooMany.receives("fault", 0); m.Fault.Code != grant.TryLater {
		t.Errorf("%+v, want the code of a keeper that may serve it later", m.Fault)
	}
	all[0].Close()
	await(t, "a place", func() (free bool) {
		k.inside(func() { free = len(k.loop.standing) < maxStanding })
		return free
	})
	wrong := k.standing()
	wrong.sends(byeMessage())
	wrong.receivesEnd()
	first.Close()
	all[1].admitted(k)
}

// TestAsk: a keeper says in every state that it works.
func TestAsk(t *testing.T) {
	k := newHoldingKeeper(t, time.Minute)
	ask := func(want string) {
		t.Helper()
		if a, err := grant.AskKeeper(k.path()); err != nil || a.State != want || a.Keeper != os.Getpid() {
			t.Errorf("%+v, %v, want the state %s", a, err, want)
		}
	}
	ask("idle")
	f := k.running()
	ask("running")
	f.Close()
	k.awaitState(holding)
	ask("holding")
}

// TestAskOnly: the keeper's own user may ask even if it may not be a switch.
func TestAskOnly(t *testing.T) {
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.Peers.UIDs = []int{os.Geteuid() + 1}
	k := newTestKeeperOf(t, dir, cfg, shortTimeouts())
	if _, err := grant.AskKeeper(k.path()); err != nil {
		t.Error(err)
	}
	f := k.connect()
	f.sends(helloMessage())
	if m, _ := f.receives("fault", 0); !strings.Contains(m.Fault.Text, "needs one of the users") {
		t.Errorf("%q, want the users that may be a switch", m.Fault.Text)
	}
}

// TestAskBesideManySessions: switches that use up the sessions do not make the keeper look as if it hangs.
func TestAskBesideManySessions(t *testing.T) {
	k := newHoldingKeeper(t, time.Minute)
	own := filepath.Join(k.dir, "own")
	listener, err := unixsocket.Listen(unixsocket.Spec{Path: own, Owner: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go k.loop.accept(listener.UnixListener, maxSessions+maxAsking)
	for range maxSessions {
		k.connect()
	}
	await(t, "all sessions", func() (all bool) {
		k.inside(func() { all = len(k.loop.sessions) == maxSessions })
		return all
	})
	if _, err := grant.AskKeeper(k.path()); err == nil {
		t.Error("there is one session more than maxSessions")
	}
	if _, err := grant.AskKeeper(own); err != nil {
		t.Error(err)
	}
}

// TestListenAtTheOwnSocket: the socket for switches may be the keeper's own one.
func TestListenAtTheOwnSocket(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	ended, path := make(chan error, 1), filepath.Join(dir, "keeper")
	go func() { ended <- Listen(ctx, configOf(dir), path, dir+"/./keeper") }()
	await(t, "an answer, or the end", func() bool {
		_, err := grant.AskKeeper(path)
		return err == nil || len(ended) > 0
	})
	stop()
	if err := within(t, "the end", ended); err != nil {
		t.Error(err)
	}
}

// TestAskAHangingKeeper: a probe tells a keeper that hangs from one that works.
func TestAskAHangingKeeper(t *testing.T) {
	path := t.TempDir() + "/socket"
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if _, err = grant.AskKeeper(path); err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Error(err)
	}
	if _, err = grant.AskKeeper(path + ".absent"); err == nil || !strings.Contains(err.Error(), "no keeper at") || !strings.Contains(err.Error(), "keeper.sock") {
		t.Error(err)
	}
}
