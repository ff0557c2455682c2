package descriptor_test

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
)

func newLoop(t *testing.T) *descriptor.Loop {
	t.Helper()
	l, err := descriptor.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// A member receives in a loop.
type member struct {
	*descriptor.Descriptor
	peer     int
	received atomic.Int64
	got      chan string // received data, until the buffer is full
	ended    chan error
}

// join adds a member that calls each after every receive.
func join(t *testing.T, l *descriptor.Loop, each func(*descriptor.Turn)) *member {
	t.Helper()
	m := &member{got: make(chan string, 64), ended: make(chan error, 1)}
	m.Descriptor, m.peer = pair(t)
	go func() {
		var err error
		l.Do(func(turn *descriptor.Turn) {
			m.SetTurn(turn)
			for try, got := read(); err == nil; {
				if err = m.Receive(try); err == nil {
					m.received.Add(1)
					select {
					case m.got <- *got:
					default:
					}
					each(turn)
				}
			}
		})
		m.ended <- err
	}()
	return m
}

func (m *member) send(t *testing.T, text string) {
	t.Helper()
	if _, err := unix.Write(m.peer, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// end closes the descriptor and waits until the function has returned.
func (m *member) end(t *testing.T) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := <-m.ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v; want net.ErrClosed", err)
	}
}

// await polls until condition holds; otherwise the test's own deadline ends it.
func await(condition func() bool) {
	for ticker := time.NewTicker(time.Millisecond); !condition(); <-ticker.C {
	}
}

func nothing(*descriptor.Turn) {}

// TestLoop has members whose peers send all the time: no two run at the same time, and all make equal progress.
func TestLoop(t *testing.T) {
	l := newLoop(t)
	var inside, beside atomic.Int64
	each := func(*descriptor.Turn) {
		if inside.Add(1) > 1 {
			beside.Add(1)
		}
		runtime.Gosched() // another member would run now
		inside.Add(-1)
	}
	var members [4]*member
	var sending sync.WaitGroup
	for i := range members {
		m := join(t, l, each)
		members[i] = m
		sending.Go(func() {
			for _, err := unix.Write(m.peer, []byte("much")); err == nil; _, err = unix.Write(m.peer, []byte("much")) {
			}
		})
	}
	for _, m := range members { // until all have joined
		<-m.got
	}
	first := [4]int64{}
	for i, m := range members {
		first[i] = m.received.Load()
	}
	await(func() bool { return members[0].received.Load() >= first[0]+500 })
	for i, m := range members {
		if n := m.received.Load() - first[i]; n < 250 {
			t.Errorf("member %d has received %d times; want about 500", i, n)
		}
	}
	for _, m := range members {
		m.end(t)
	}
	sending.Wait()
	if n := beside.Load(); n != 0 {
		t.Errorf("%d times two ran at once", n)
	}
}

// TestLoopLeave has a member wait for a channel: the others continue, and the member returns to the loop.
func TestLoopLeave(t *testing.T) {
	l := newLoop(t)
	away, back := make(chan bool), make(chan bool)
	leaver := join(t, l, func(turn *descriptor.Turn) {
		turn.Leave()
		turn.Leave() // a second call does nothing
		away <- true
		<-back
	})
	other := join(t, l, nothing)
	for range 20 {
		leaver.send(t, "go")
		<-away
		other.send(t, "beside")
		if got := <-other.got; got != "beside" {
			t.Errorf("beside it %q was received", got)
		}
		back <- true
	}
	leaver.send(t, "go")
	<-away
	other.end(t)
	go func() { back <- true }()
	leaver.end(t)
}

// TestLoopEnds ends members that wait, by Close and by Interrupt; a Wake does not end them.
func TestLoopEnds(t *testing.T) {
	l := newLoop(t)
	closed, interrupted, stays := join(t, l, nothing), join(t, l, nothing), join(t, l, nothing)
	closed.end(t)
	interrupted.Interrupt()
	if err := <-interrupted.ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("interrupted: %v", err)
	}
	stays.Wake()
	stays.send(t, "still")
	if got := <-stays.got; got != "still" {
		t.Errorf("received %q", got)
	}
	late := join(t, l, nothing)
	late.send(t, "late")
	if got := <-late.got; got != "late" {
		t.Errorf("the member that joined late received %q", got)
	}
	late.end(t)
	stays.end(t)
}

// TestLoopEndsAtOnce ends members at any moment, also just before they wait, while other members join and return.
func TestLoopEndsAtOnce(t *testing.T) {
	l := newLoop(t)
	for i := range 2000 {
		m := join(t, l, nothing)
		if i%2 == 0 {
			runtime.Gosched()
		}
		if i%3 == 0 {
			m.Interrupt()
		}
		m.end(t)
	}
}

// TestLoopSpuriousEvents has a member whose socket is always readable and has no data: it neither loops without rest nor delays the
// other members.
func TestLoopSpuriousEvents(t *testing.T) {
	l := newLoop(t)
	d, peer := pair(t)
	if err := unix.Shutdown(peer, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	var tries atomic.Int64
	ended := make(chan error, 1)
	go l.Do(func(turn *descriptor.Turn) {
		d.SetTurn(turn)
		ended <- d.Receive(func(uintptr) bool { tries.Add(1); return false })
	})
	await(func() bool { return tries.Load() >= 3 })
	other := join(t, l, nothing)
	began, before := time.Now(), tries.Load()
	for range 100 {
		other.send(t, "beside")
		<-other.got
	}
	if n, most := tries.Load()-before, 10+time.Since(began).Milliseconds(); n > most {
		t.Errorf("%d tries in %v; want at most %d", n, time.Since(began), most)
	}
	other.end(t)
	d.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
}

// TestLoopAlone has functions that never wait for a descriptor.
func TestLoopAlone(t *testing.T) {
	l := newLoop(t)
	var turn *descriptor.Turn
	turn.Leave()
	ran := 0
	l.Do(func(turn *descriptor.Turn) {
		turn.Leave()
		ran++
	})
	l.Do(func(*descriptor.Turn) { ran++ })
	if ran != 2 {
		t.Errorf("%d functions ran", ran)
	}
}

// TestLoopAllocs allocates nothing for a turn.
func TestLoopAllocs(t *testing.T) {
	l := newLoop(t)
	d, peer := pair(t)
	done := make(chan bool)
	go l.Do(func(turn *descriptor.Turn) {
		d.SetTurn(turn)
		b := make([]byte, 16)
		try := func(fd uintptr) bool { n, _ := unix.Read(int(fd), b); return n > 0 }
		for d.Receive(try) == nil {
			done <- true
		}
		close(done)
	})
	text := []byte("one")
	pass := func() {
		_, _ = unix.Write(peer, text)
		<-done
	}
	pass()
	if n := testing.AllocsPerRun(200, pass); n != 0 {
		t.Errorf("%v allocations a turn; want none", n)
	}
	d.Close()
	for range done {
		t.Error("received after the end")
	}
}

// BenchmarkLoop measures a turn: a wait in a loop for data that is there already.
func BenchmarkLoop(b *testing.B) {
	l, err := descriptor.NewLoop()
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	ready, err := unix.Eventfd(1, unix.EFD_NONBLOCK)
	if err != nil {
		b.Fatal(err)
	}
	d, err := descriptor.New(ready)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	b.ReportAllocs()
	l.Do(func(turn *descriptor.Turn) {
		d.SetTurn(turn)
		for b.Loop() {
			_ = d.Receive(func(uintptr) bool { return true })
		}
		d.SetTurn(nil)
	})
}
