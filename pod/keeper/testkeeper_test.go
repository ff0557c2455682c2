package keeper

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/podswitch/podswitch/host/unixsocket"
)

// testExitCode is the exit code of every error.
const testExitCode = 7

// A testKeeper is a keeper of two datagram sockets, which needs no privilege, with counters of what it does.
type testKeeper struct {
	t      testing.TB
	loop   *loop
	dir    string
	seen   *observer.ObservedLogs
	stop   context.CancelFunc
	result chan error   // of the loop
	taken  atomic.Int32 // how often the address was taken
	back   atomic.Int32 // how often it was given back
	backAt atomic.Int64 // when it was given back last, in nanoseconds since 1970
}

// shortTimeouts has a short timeout for Stopped, for which tests wait, and long ones for all other messages.
func shortTimeouts() timeouts {
	return timeouts{hello: time.Minute, ready: time.Minute, start: time.Minute, stop: 20 * time.Millisecond, pause: time.Minute, yield: time.Minute}
}

func newTestKeeper(t testing.TB, p timeouts) *testKeeper {
	t.Helper()
	dir := t.TempDir()
	return newTestKeeperOf(t, dir, configOf(dir), p)
}

func newTestKeeperOf(t testing.TB, dir string, cfg Config, p timeouts) *testKeeper {
	t.Helper()
	k := &testKeeper{t: t, dir: dir, result: make(chan error, 1)}
	core, seen := observer.New(zapcore.DebugLevel)
	k.seen = seen
	cfg.Log = zap.New(core)
	k.loop = newLoop(cfg)
	k.loop.timeouts, k.loop.takeAddress = p, k.take
	listener, err := unixsocket.Listen(unixsocket.Spec{Path: k.path(), Owner: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	go k.loop.accept(listener.UnixListener, maxSessions)
	go func() {
		err := k.loop.run(ctx)
		listener.Close()
		k.result <- err
	}()
	t.Cleanup(k.end)
	return k
}

func (k *testKeeper) path() string { return filepath.Join(k.dir, "keeper") }

// take counts how often the address is taken and given back.
func (k *testKeeper) take(r *resources) (func() error, error) {
	undo, err := r.takeAddress()
	if taken := k.taken.Add(1); taken != k.back.Load()+1 {
		k.t.Error("the address is taken twice")
	}
	return func() error {
		k.back.Add(1)
		k.backAt.Store(time.Now().UnixNano())
		return undo()
	}, err
}

// end stops the keeper, and checks that it leaves nothing.
func (k *testKeeper) end() {
	k.t.Helper()
	k.stop()
	if err := within(k.t, "the end of the loop", k.result); err != nil {
		k.t.Errorf("the loop ends with %v", err)
	}
	k.wantNothing()
}

// wantNothing checks that no socket is left, and that the address was given back as often as it was taken.
func (k *testKeeper) wantNothing() {
	k.t.Helper()
	if taken, back := k.taken.Load(), k.back.Load(); taken != back {
		k.t.Errorf("taken %d times and given back %d times", taken, back)
	}
	for _, name := range []string{"a", "b", "control"} {
		if _, err := os.Lstat(filepath.Join(k.dir, name)); err == nil {
			k.t.Errorf("the socket %s is left", name)
		}
	}
}

// inside executes a function in the loop.
func (k *testKeeper) inside(f func()) {
	k.t.Helper()
	done := make(chan struct{})
	if !k.loop.do(func() { defer close(done); f() }) {
		k.t.Fatal("the loop has ended")
	}
	<-done
}

// awaitWaiting waits until the keeper waits for a switch, and checks that nothing of the last one is left.
func (k *testKeeper) awaitWaiting() {
	k.t.Helper()
	await(k.t, "the keeper to wait for a switch", func() (waiting bool) {
		k.inside(func() {
			waiting = k.loop.resources == nil && k.loop.current == nil && k.loop.next == nil && k.loop.undoTake == nil && len(k.loop.sessions) == 0
		})
		return waiting
	})
	k.wantNothing()
}

// ended returns the errors with which switches have ended.
func (k *testKeeper) ended() (why []string) {
	for _, e := range k.seen.FilterMessage("switch failed").All() {
		why = append(why, e.ContextMap()["error"].(string))
	}
	return why
}

func (k *testKeeper) connect() *fake {
	k.t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: k.path(), Net: "unix"})
	if err != nil {
		k.t.Fatal(err)
	}
	f := newFake(k.t, c)
	return f
}
