package keeper

import (
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

// FuzzKeeper lets three switches say anything in any order, and end at any time. It wants of the keeper that it takes the address
// only when nobody has it, that it gives a descriptor only to one that was granted something, and that in the end the address is
// back, every socket gone and every descriptor closed.
func FuzzKeeper(f *testing.F) {
	const first, second, third = 0, 1 << 6, 2 << 6
	for _, seed := range []struct {
		name  string
		steps []byte
	}{
		{"nothing", nil},
		{"a whole life", []byte{first | stepHello, first | stepReady, first | stepStarted, first | stepDial, first | stepReopen, first | stepBye, first | stepStopped}},
		{"a takeover", []byte{first | stepHello, first | stepReady, first | stepStarted, second | stepTakeover, second | stepReady, first | stepYielded,
			second | stepStarted, third | stepTakeover, third | stepReady, second | stepYielded, third | stepStarted, third | stepBye}},
		{"a takeover that fails", []byte{first | stepHello, first | stepReady, first | stepStarted, second | stepTakeover, second | stepReady, first | stepYielded,
			second | stepClose, first | stepStarted, third | stepTakeover, third | stepReady, third | stepFault, first | stepYielded}},
		{"out of turn", []byte{first | stepStopped, second | stepReady, third | stepYielded, first | stepBye}},
		{"not understood", []byte{first | stepHello, first | stepRubbish, second | stepHello, second | stepReady, second | stepRubbish}},
		{"another version", []byte{first | stepOther, second | stepHello, third | stepHello}},
		{"both go", []byte{first | stepHello, first | stepReady, first | stepStarted, second | stepTakeover, second | stepReady, first | stepYielded,
			first | stepClose, second | stepClose}},
		{"one after the other", []byte{first | stepHello, first | stepReady, first | stepClose, second | stepHello, second | stepReady, second | stepClose,
			third | stepHello, third | stepReady, third | stepStarted}},
		{"a stop in between", []byte{first | stepHello, first | stepReady, first | stepStarted, second | stepTakeover, second | stepReady, first | stepEnd, first | stepYielded}},
	} {
		f.Add(seed.name, seed.steps)
	}
	f.Fuzz(func(t *testing.T, _ string, steps []byte) {
		before := openDescriptors(t)
		t.Run("", func(t *testing.T) {
			w := newWorld(t, timeouts{hello: time.Minute, ready: time.Minute, start: time.Minute, stop: 5 * time.Millisecond, yield: time.Minute})
			var all [3]hostile
			for _, s := range steps[:min(len(steps), 64)] {
				all[int(s>>6)%len(all)].do(w, s&0x3f)
			}
			w.stop()
			err := within(t, "the end", w.result)
			w.result <- err
			for i := range all {
				all[i].end(t)
			}
		})
		// A socket is closed when who reads from it has seen that, which may be a moment later.
		if !eventually(func() bool { return openDescriptors(t) <= before }) {
			t.Errorf("%d descriptors are open, %d were before", openDescriptors(t), before)
		}
	})
}

// The steps of a hostile switch. Each one that follows a connection's end begins a new one.
const (
	stepHello byte = iota
	stepTakeover
	stepOther
	stepReady
	stepStarted
	stepReopen
	stepReopenOther
	stepDial
	stepBye
	stepStopped
	stepYielded
	stepFault
	stepRubbish
	stepClose
	stepEnd // the keeper is asked to end
	numSteps
)

// A hostile switch says anything, and notes what it hears.
type hostile struct {
	*fake
	heard sync.WaitGroup // who listens
}

func (h *hostile) do(w *world, step byte) {
	if step %= numSteps; step == stepEnd {
		w.stop()
		return
	}
	if h.fake == nil {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: w.path(), Net: "unix"})
		if err != nil {
			return // the keeper has ended
		}
		h.fake = newFake(w.t, c)
		fake := h.fake
		h.heard.Go(func() { fake.listen(w.t) })
	}
	switch step {
	case stepClose:
		h.Close()
		h.fake = nil
	case stepRubbish:
		_, _ = h.socket.Write([]byte{0, 0, 0, 2, 0, 0, 0, 0, '{', ']'})
	default:
		null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		h.sends(message(step), null)
		_ = unix.Close(null)
	}
	w.loop.do(func() {}) // the loop has its turn now and then
}

func message(step byte) grant.Message {
	switch step {
	case stepHello:
		return helloMessage()
	case stepTakeover:
		return takeoverMessage()
	case stepOther:
		return grant.Message{Hello: &grant.Hello{Version: grant.Version + 1}}
	case stepReady:
		return readyMessage()
	case stepStarted:
		return grant.Message{Started: &grant.Started{}}
	case stepReopen:
		return reopenMessage(0)
	case stepReopenOther:
		return reopenMessage(99)
	case stepDial:
		return dialMessage(1, grant.Kept, 0)
	case stepBye:
		return byeMessage()
	case stepStopped:
		return stoppedMessage()
	case stepYielded:
		return yieldedMessage()
	}
	return faultMessage()
}

// listen wants descriptors behind a grant alone, and nothing behind a fault.
func (f *fake) listen(t testing.TB) {
	granted, faulty := false, false
	for {
		m, files, err := f.Receive()
		if err != nil {
			return
		}
		_ = grant.CloseFiles(files)
		granted = granted || m.Grant != nil
		if !granted && (m.Fault == nil || len(files) > 0) || faulty {
			t.Errorf("%q with %d descriptors, granted before: %v, after a fault: %v", m.Name(), len(files), granted, faulty)
		}
		faulty = m.Fault != nil
	}
}

// end waits until everything was heard.
func (h *hostile) end(t testing.TB) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.heard.Wait()
	}()
	within(t, "the end of the conversation", ended)
}
