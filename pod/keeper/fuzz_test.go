package keeper

import (
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

// FuzzKeeper lets three switches send any messages in any order, and disconnect at any time. It checks that the keeper takes the
// address only when it is not taken, that it sends descriptors only to switches that it has admitted, and that at the end the address
// is given back, no socket is left and every descriptor is closed.
func FuzzKeeper(f *testing.F) {
	const first, second, third = 0, 1 << 6, 2 << 6
	const holds = 1 << 5 // in the first step: the keeper holds the address for another switch
	for _, seed := range []struct {
		name  string
		steps []byte
	}{
		{"nothing", nil},
		{"a whole life", []byte{first + stepHello, first + stepReady, first + stepStarted, first + stepDial, first + stepReopen, first + stepBye, first + stepStopped}},
		{"a takeover", []byte{first + stepHello, first + stepReady, first + stepStarted, second + stepTakeover, second + stepReady, first + stepYielded,
			second + stepStarted, third + stepTakeover, third + stepReady, second + stepYielded, third + stepStarted, third + stepBye}},
		{"a takeover that fails", []byte{first + stepHello, first + stepReady, first + stepStarted, second + stepTakeover, second + stepReady, first + stepYielded,
			second + stepClose, first + stepStarted, third + stepTakeover, third + stepReady, third + stepFault, first + stepYielded}},
		{"not allowed", []byte{first + stepStopped, second + stepReady, third + stepYielded, first + stepBye}},
		{"not a message", []byte{first + stepHello, first + stepRubbish, second + stepHello, second + stepReady, second + stepRubbish}},
		{"another version", []byte{first + stepOther, second + stepHello, third + stepHello}},
		{"both disconnect", []byte{first + stepHello, first + stepReady, first + stepStarted, second + stepTakeover, second + stepReady, first + stepYielded,
			first + stepClose, second + stepClose}},
		{"one after the other", []byte{first + stepHello, first + stepReady, first + stepClose, second + stepHello, second + stepReady, second + stepClose,
			third + stepHello, third + stepReady, third + stepStarted}},
		{"a hold", []byte{holds + first + stepHello, first + stepReady, first + stepStarted, first + stepLearned, first + stepClose, second + stepHello, second + stepReady,
			second + stepLearned, second + stepStarted, second + stepFault, third + stepHello, third + stepBye}},
		{"a hold during a takeover", []byte{holds + first + stepHello, first + stepReady, first + stepStarted, second + stepTakeover, second + stepReady, first + stepClose,
			third + stepHello, third + stepReady, third + stepEnd}},
		{"a stop in between", []byte{first + stepHello, first + stepReady, first + stepStarted, second + stepTakeover, second + stepReady, first + stepEnd, first + stepYielded}},
	} {
		f.Add(seed.name, seed.steps)
	}
	f.Fuzz(func(t *testing.T, _ string, steps []byte) {
		before := openDescriptors(t)
		t.Run("", func(t *testing.T) {
			dir := t.TempDir()
			cfg := configOf(dir)
			if len(steps) > 0 && steps[0]&holds != 0 {
				cfg.HoldSwitch = time.Minute
			}
			k := newTestKeeperOf(t, dir, cfg, timeouts{hello: time.Minute, ready: time.Minute, start: time.Minute, stop: 5 * time.Millisecond, yield: time.Minute})
			var all [3]hostile
			for _, s := range steps[:min(len(steps), 64)] {
				all[int(s>>6)%len(all)].do(k, s&0x3f)
			}
			k.stop()
			err := within(t, "the end", k.result)
			k.result <- err
			for i := range all {
				all[i].end(t)
			}
		})
		// A goroutine closes a socket after it has read its end, which may be a moment later.
		if !eventually(func() bool { return openDescriptors(t) <= before }) {
			t.Errorf("%d descriptors are open, %d were before", openDescriptors(t), before)
		}
	})
}

// The steps of a hostile switch. The first step, and each one after stepClose, connects.
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
	stepEnd // the keeper is stopped
	stepLearned
	numSteps
)

// A hostile switch sends any message, and checks those that it receives.
type hostile struct {
	*fake
	readers sync.WaitGroup
}

func (sw *hostile) do(k *testKeeper, step byte) {
	if step %= numSteps; step == stepEnd {
		k.stop()
		return
	}
	if sw.fake == nil {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: k.path(), Net: "unix"})
		if err != nil {
			return // the keeper has ended
		}
		sw.fake = newFake(k.t, c)
		fake := sw.fake
		sw.readers.Go(func() { fake.listen(k.t) })
	}
	switch step {
	case stepClose:
		sw.Close()
		sw.fake = nil
	case stepRubbish:
		_, _ = sw.socket.Write([]byte{0, 0, 0, 2, 0, 0, 0, 0, '{', ']'})
	default:
		null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			k.t.Fatal(err)
		}
		sw.sends(message(step), null)
		_ = unix.Close(null)
	}
	k.loop.do(func() {}) // the loop executes what has arrived
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
	case stepLearned:
		return learnedMessage(`{"a":1}`)
	}
	return faultMessage()
}

// listen checks that descriptors arrive only after Grant, and nothing after Fault.
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

// end waits until everything was received.
func (sw *hostile) end(t testing.TB) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sw.readers.Wait()
	}()
	within(t, "the end of the session", ended)
}
