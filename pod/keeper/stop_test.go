package keeper

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
)

// soon is how long an address may take to be given back on a busy machine; the keeper itself waits for a fifth of it.
const soon = time.Second

// TestStop: when the keeper is asked to end, the address goes back soon, whatever the switches do; nobody can hold it up.
func TestStop(t *testing.T) {
	for name, reaches := range map[string]func(w *world) int32{
		"nobody is there":          func(*world) int32 { return 0 },
		"one says nothing":         func(w *world) int32 { w.connect(); return 0 },
		"one builds":               func(w *world) int32 { w.granted(helloMessage()); return 0 },
		"it does not answer":       func(w *world) int32 { w.running(); return 1 },
		"the next one builds":      func(w *world) int32 { w.running(); w.granted(takeoverMessage()); return 1 },
		"one is to yield":          func(w *world) int32 { w.yielding(); return 1 },
		"it does not read":         func(w *world) int32 { w.running().readsNothing(outboxSize); return 1 },
		"the next one reads not":   func(w *world) int32 { w.running(); w.granted(takeoverMessage()).readsNothing(0); return 1 },
		"it asks and reads not":    func(w *world) int32 { go w.running().readsNothing(1 << 14); return 1 },
		"the next one starts":      func(w *world) int32 { w.beginning(); return 1 },
		"the next one has started": func(w *world) int32 { w.handedOver(); return 1 },
		"the guest comes and goes": func(w *world) int32 { f := w.running(); w.flap(); f.readsNothing(0); return 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, defaultTimeouts)
			taken := reaches(w)
			asked := time.Now()
			w.stop()
			err := within(t, "the end", w.result)
			w.result <- err // for the end of the test
			if took := time.Unix(0, w.backAt.Load()).Sub(asked); w.back.Load() != taken || took > soon {
				t.Errorf("given back %d times, after %s", w.back.Load(), took)
			}
		})
	}
}

// readsNothing sends requests for things without reading the answers.
func (f *fake) readsNothing(asks int) {
	for i := range uint64(asks) {
		f.sends(dialMessage(i, grant.Kept, 0))
	}
}

// flap tells of the guest more often than a switch that does not read can take.
func (w *world) flap() {
	w.inside(func() {
		for i := range 2 * outboxSize {
			w.loop.guestChanged(w.loop.resources, i%2 == 0)
		}
	})
}

// beginning is a switch that has made room, and the one that was told to begin.
func (w *world) beginning() (first, next *fake) {
	w.t.Helper()
	first, next = w.yielding()
	first.sends(yieldedMessage())
	next.receives("go", 0)
	return first, next
}

// TestStopWhileYielding: who makes room for another switch may take its time to end; the other one does not begin while the address
// goes back.
func TestStopWhileYielding(t *testing.T) {
	w := newWorld(t, longStop())
	first, next := w.yielding()
	w.stop()
	first.receives("stop", 0)
	first.sends(yieldedMessage())
	next.receivesEnd()
	first.receivesEnd()
}

// TestStopWhileStarting: once another switch was told to begin, it is the one that is asked to end, and waited for.
func TestStopWhileStarting(t *testing.T) {
	for name, started := range map[string]bool{"it has not said that it has begun": false, "it has": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, longStop())
			first, next := w.beginning()
			w.stop()
			next.receives("stop", 0)
			if started {
				next.sends(grant.Message{Started: &grant.Started{}})
				next.sends(dialMessage(1, grant.Kept, 0))
				next.receives("dialled", 0) // the keeper has handled Started
			}
			if back := w.back.Load(); back != 0 {
				t.Error("the address goes back while a switch answers for it")
			}
			next.sends(stoppedMessage())
			next.receivesEnd()
			first.receivesEnd()
		})
	}
}

// TestGoneWhileStarting: that it has gone says it, too.
func TestGoneWhileStarting(t *testing.T) {
	w := newWorld(t, longStop())
	first, next := w.beginning()
	w.stop()
	next.receives("stop", 0)
	next.Close()
	first.receivesEnd()
}

// longStop waits for a switch that is to stop until the test has failed.
func longStop() timeouts {
	p := shortTimeouts()
	p.stop = time.Minute
	return p
}

// TestLateTimer: what was to happen to a switch that has gone does not happen to the one after it.
func TestLateTimer(t *testing.T) {
	p := shortTimeouts()
	p.ready, p.start, p.stop, p.yield = time.Second, time.Second, time.Second, time.Second
	w := newWorld(t, p)
	w.handedOver().ends() // begins to wait for each
	w.awaitWaiting()
	last := w.running()
	passed := make(chan struct{})
	timer := time.AfterFunc(p.stop+p.stop/10, func() { close(passed) })
	defer timer.Stop()
	within(t, "the timers", passed)
	last.sends(dialMessage(1, grant.Kept, 0))
	last.receives("dialled", 0) // and neither Stop nor the end
	last.ends()
	if why := w.ended(); why != nil {
		t.Errorf("it says %q", why)
	}
}

// TestFinishTwice: the end of what has ended already changes nothing.
func TestFinishTwice(t *testing.T) {
	w := newWorld(t, shortTimeouts())
	w.running()
	w.inside(func() {
		w.loop.handle(lost, nil)
		w.loop.handle(lost, nil)
		w.loop.handle(end, nil)
	})
	w.awaitWaiting()
	if back := w.back.Load(); back != 1 {
		t.Errorf("given back %d times", back)
	}
}

// TestNothingKept: a keeper that cannot open everything says so, keeps nothing, and can later.
func TestNothingKept(t *testing.T) {
	w := newWorld(t, shortTimeouts())
	obstacle := filepath.Join(w.dir, "b")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := openDescriptors(t)
	for range 3 {
		f := w.connect()
		f.sends(helloMessage())
		if m, _ := f.receives("fault", 0); !strings.Contains(m.Fault.Text, "is not a socket") {
			t.Errorf("it says %q", m.Fault.Text)
		}
		f.receivesEnd()
		f.Close()
	}
	await(t, "all descriptors to be closed", func() bool { return openDescriptors(t) <= before })
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	w.running().ends()
	w.awaitWaiting()
}

func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// names gives the switch at work a plan with this target.
func (w *world) names(target string) {
	w.inside(func() {
		w.loop.resources.plan = &plan.Plan{Method: "bridge", KeptPorts: []plan.KeptPort{{Port: 80, Target: target}}}
	})
}

// TestDial: a switch gets connections to what its plan names, and to nothing else.
func TestDial(t *testing.T) {
	w := newWorld(t, shortTimeouts())
	f := w.running()
	l := loopback(t)
	w.names(l.Addr().String())
	f.sends(dialMessage(7, grant.Kept, 0))
	m, files := f.receives("dialled", 1)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := unix.Write(files[0], []byte("x")); err != nil || m.Dialled.ID != 7 {
		t.Errorf("%+v, %v", m.Dialled, err)
	}
	text := make([]byte, 1)
	if _, err := c.Read(text); err != nil || text[0] != 'x' {
		t.Errorf("%q, %v", text, err)
	}
	for i, d := range []grant.Message{
		dialMessage(0, grant.Kept, 1), dialMessage(1, grant.Kept, -1), dialMessage(2, grant.DNSUDP, 0), dialMessage(3, grant.DNSTCP, 0),
		dialMessage(4, "", 0), dialMessage(5, grant.Service(l.Addr().String()), 0), dialMessage(6, grant.Kept, 1<<31),
	} {
		f.sends(d)
		if m, _ := f.receives("dialled", 0); m.Dialled.ID != uint64(i) || !strings.Contains(m.Dialled.Err, "the plan has no target") {
			t.Errorf("%+v", m.Dialled)
		}
	}
	l.Close()
	f.sends(dialMessage(8, grant.Kept, 0))
	if m, _ := f.receives("dialled", 0); !strings.Contains(m.Dialled.Err, "refused") {
		t.Errorf("%+v", m.Dialled)
	}
	f.ends()
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("needs a loopback interface: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestDialFlood: no more than so many connections are being made at once, and they end with the switch.
func TestDialFlood(t *testing.T) {
	w := newWorld(t, shortTimeouts())
	f := w.running()
	w.names(silentTarget(t))
	before := runtime.NumGoroutine()
	for i := range uint64(2 * maxDials) {
		if err := f.Send(dialMessage(i, grant.Kept, 0)); err != nil {
			t.Fatalf("asking for number %d: %v; %q", i, err, w.ended())
		}
	}
	for i := range uint64(maxDials) {
		if m, _ := f.receives("dialled", 0); m.Dialled.ID != maxDials+i || !strings.Contains(m.Dialled.Err, "too many") {
			t.Fatalf("%+v", m.Dialled)
		}
	}
	// Each has a goroutine, and the Go runtime one more that watches for the end of the context.
	if n := runtime.NumGoroutine() - before; n > 2*maxDials+10 {
		t.Errorf("%d goroutines more", n)
	}
	f.sends(byeMessage())
	f.receives("stop", 0)
	f.sends(stoppedMessage())
	f.receivesEnd("dialled")
	w.awaitWaiting()
	await(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// silentTarget accepts nothing, and its queue is full: connections to it are never made.
func silentTarget(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Skipf("needs a loopback interface: %v", err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	target := fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
	for {
		c, err := net.DialTimeout("tcp", target, 100*time.Millisecond)
		if err != nil {
			return target
		}
		t.Cleanup(func() { c.Close() })
	}
}

// TestReopenFlood: a port is opened again once at a time, however often that is asked for.
func TestReopenFlood(t *testing.T) {
	w := newWorld(t, shortTimeouts())
	f := w.running()
	before := runtime.NumGoroutine()
	for range 1000 {
		f.sends(reopenMessage(0))
		f.sends(reopenMessage(1))
	}
	f.sends(dialMessage(1, grant.Kept, 0))
	f.receives("dialled", 0)
	if n := runtime.NumGoroutine() - before; n > 2 {
		t.Errorf("%d goroutines more", n)
	}
	f.ends()
	w.awaitWaiting()
}
