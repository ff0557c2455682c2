package keeper

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

// TestGrant: a switch gets what is in its plan, and the next one after it too.
func TestGrant(t *testing.T) {
	w := newWorld(t, shortTimeouts())
	for range 2 {
		f := w.connect()
		f.sends(helloMessage())
		g := f.receivesGrant()
		if g.Version != grant.Version || g.Keeper != os.Getpid() || g.Forwarder.Delegate != nil || g.Forwarder.Bridge == nil || g.Forwarder.Bridge.Ports != 2 || len(g.Ports) != 2 || !g.Ports[1].Present {
			t.Errorf("the grant is %+v", g)
		}
		f.sends(readyMessage())
		f.receives("go", 0)
		f.starts(w)
		f.ends()
		w.awaitWaiting()
	}
	if why := w.ended(); why != nil {
		t.Errorf("it says %q", why)
	}
}

// TestRefused: who cannot be served is told why, gets no descriptor, and leaves everything as it was.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		running bool
		first   grant.Message
		want    string
	}{
		{"another version", false, grant.Message{Hello: &grant.Hello{Version: grant.Version + 1}}, fmt.Sprintf("version %d of its protocol, not %d", grant.Version, grant.Version+1)},
		{"a second switch", true, helloMessage(), "a keeper without another switch"},
		{"a takeover of nothing", false, takeoverMessage(), "a running switch"},
		{"a takeover with settings that nobody reads", true, grant.Message{Hello: &grant.Hello{Version: grant.Version, Takeover: true, Settings: []byte("{}")}},
			"started by podswitch run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, shortTimeouts())
			var first *fake
			if c.running {
				first = w.running()
			}
			f := w.connect()
			f.sends(c.first)
			m, _ := f.receives("fault", 0)
			if !strings.Contains(m.Fault.Text, c.want) || m.Fault.Code != exitCodeOfTests {
				t.Errorf("%+v, want %q", m.Fault, c.want)
			}
			f.receivesEnd()
			if first != nil {
				first.ends()
			}
			w.awaitWaiting()
		})
	}
}

// TestTakeover: what the first switch leaves, the second one gets, with its descriptors; the address stays taken.
func TestTakeover(t *testing.T) {
	w := newWorld(t, shortTimeouts())
	first, next := w.yielding()
	third := w.connect()
	third.sends(takeoverMessage())
	if m, _ := third.receives("fault", 0); !strings.Contains(m.Fault.Text, "take over") {
		t.Errorf("a third one hears %q", m.Fault.Text)
	}
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	y := yieldedMessage()
	y.Yielded.Connections = []int{1}
	first.sends(y, int(pipe.Fd()))
	pipe.Close()
	m, files := next.receives("go", 1)
	if string(m.Go.Snapshot) != `{"a":1}` || !slices.Equal(m.Go.Connections, []int{1}) || m.Go.Takeovers != 1 {
		t.Errorf("%+v", m.Go)
	}
	if _, err := unix.Write(files[0], []byte("x")); err != nil {
		t.Error(err)
	}
	next.starts(w)
	first.receivesEnd()
	next.receives("guest", 0)
	if w.taken.Load() != 1 || w.back.Load() != 0 {
		t.Errorf("taken %d times, given back %d times", w.taken.Load(), w.back.Load())
	}
	next.ends()
	w.awaitWaiting()
	_ = unix.Close(files[0])
	files[0] = -1
	if text, err := io.ReadAll(r); string(text) != "x" || err != nil { // nobody else has the other end
		t.Errorf("%q, %v", text, err)
	}
}

// TestNextFails: a takeover that does not get as far as to be ready is as if it had never been.
func TestNextFails(t *testing.T) {
	w := newWorld(t, shortTimeouts())
	first := w.running()
	for name, fails := range map[string]func(*fake){
		"it goes":               func(f *fake) { f.Close() },
		"it says why":           func(f *fake) { f.sends(faultMessage()) },
		"it says goodbye":       func(f *fake) { f.sends(byeMessage()) },
		"it speaks out of turn": func(f *fake) { f.sends(dialMessage(1, grant.Kept, 0)) },
		"it is not understood":  func(f *fake) { _, _ = f.socket.Write([]byte("not a message at all")) },
	} {
		next := w.granted(takeoverMessage())
		fails(next)
		await(t, name+": to be forgotten", func() (gone bool) {
			w.inside(func() { gone = w.loop.next == nil && len(w.loop.sessions) == 1 })
			return gone
		})
		first.sends(dialMessage(1, grant.Kept, 0))
		first.receives("dialled", 0)
	}
	for range 3 { // and so is one that was ready, or was told to begin
		next := w.granted(takeoverMessage())
		next.sends(readyMessage())
		first.receives("yield", 0)
		next.Close()
		await(t, "the next one to be forgotten", func() (gone bool) {
			w.inside(func() { gone = w.loop.next == nil })
			return gone
		})
		first.sends(yieldedMessage())
		first.resumes(w)
		next = w.granted(takeoverMessage())
		next.sends(readyMessage())
		first.receives("yield", 0)
		first.sends(yieldedMessage())
		next.receives("go", 0)
		next.sends(faultMessage())
		first.resumes(w)
	}
	first.ends()
	w.awaitWaiting()
	if w.taken.Load() != 1 {
		t.Errorf("taken %d times", w.taken.Load())
	}
}
