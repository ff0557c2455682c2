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

// exitCodeOfTests is that of every error.
const exitCodeOfTests = 7

// A world is a keeper of two datagram sockets, which takes no privilege, and what was seen of it.
type world struct {
	t      testing.TB
	loop   *loop
	dir    string
	seen   *observer.ObservedLogs
	stop   context.CancelFunc
	result chan error   // of the loop
	taken  atomic.Int32 // how often the address was taken
	back   atomic.Int32 // and given back
	backAt atomic.Int64 // nanoseconds since 1970 when it last was
}

// shortTimeouts ends what never comes soon, and is long enough for what does.
func shortTimeouts() timeouts {
	return timeouts{hello: time.Minute, ready: time.Minute, start: time.Minute, stop: 20 * time.Millisecond, yield: time.Minute}
}

func newWorld(t testing.TB, p timeouts) *world {
	t.Helper()
	dir := t.TempDir()
	return newWorldOf(t, dir, configOf(dir), p)
}

func newWorldOf(t testing.TB, dir string, cfg Config, p timeouts) *world {
	t.Helper()
	w := &world{t: t, dir: dir, result: make(chan error, 1)}
	core, seen := observer.New(zapcore.DebugLevel)
	w.seen = seen
	cfg.Log = zap.New(core)
	w.loop = newLoop(cfg)
	w.loop.timeouts, w.loop.takeAddress = p, w.take
	listener, err := unixsocket.Listen(unixsocket.Spec{Path: w.path(), Owner: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go w.loop.accept(listener)
	go func() {
		err := w.loop.run(ctx)
		listener.Close()
		w.result <- err
	}()
	t.Cleanup(w.end)
	return w
}

func (w *world) path() string { return filepath.Join(w.dir, "keeper") }

// take counts.
func (w *world) take(r *resources) (func() error, error) {
	giveBack, err := r.takeAddress()
	if taken := w.taken.Add(1); taken != w.back.Load()+1 {
		w.t.Error("the address is taken twice")
	}
	return func() error {
		w.back.Add(1)
		w.backAt.Store(time.Now().UnixNano())
		return giveBack()
	}, err
}

// end asks the keeper to end, and wants that all is as before.
func (w *world) end() {
	w.t.Helper()
	w.stop()
	if err := within(w.t, "the end of the loop", w.result); err != nil {
		w.t.Errorf("the loop ends with %v", err)
	}
	w.wantNothing()
}

// wantNothing wants that nothing is open and the address was given back as often as it was taken.
func (w *world) wantNothing() {
	w.t.Helper()
	if taken, back := w.taken.Load(), w.back.Load(); taken != back {
		w.t.Errorf("taken %d times and given back %d times", taken, back)
	}
	for _, name := range []string{"a", "b", "control"} {
		if _, err := os.Lstat(filepath.Join(w.dir, name)); err == nil {
			w.t.Errorf("the socket %s is still there", name)
		}
	}
}

// inside runs a function in the loop.
func (w *world) inside(f func()) {
	w.t.Helper()
	done := make(chan struct{})
	if !w.loop.do(func() { defer close(done); f() }) {
		w.t.Fatal("the loop has ended")
	}
	<-done
}

// awaitWaiting waits until the keeper waits for a switch, and wants that nothing is left.
func (w *world) awaitWaiting() {
	w.t.Helper()
	await(w.t, "the keeper to wait for a switch", func() (waiting bool) {
		w.inside(func() {
			waiting = w.loop.resources == nil && w.loop.current == nil && w.loop.next == nil && w.loop.giveBack == nil && len(w.loop.sessions) == 0
		})
		return waiting
	})
	w.wantNothing()
}

// ended returns why switches have ended that were not asked to.
func (w *world) ended() (why []string) {
	for _, e := range w.seen.FilterMessage("switch failed").All() {
		why = append(why, e.ContextMap()["error"].(string))
	}
	return why
}

func (w *world) connect() *fake {
	w.t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: w.path(), Net: "unix"})
	if err != nil {
		w.t.Fatal(err)
	}
	f := newFake(w.t, c)
	return f
}
