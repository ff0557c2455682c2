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

// TestGrant checks what a switch gets, twice in a row.
func TestGrant(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	for range 2 {
		f := k.connect()
		f.sends(helloMessage())
		g := f.receivesGrant()
		if g.Version != grant.Version || g.Keeper != os.Getpid() || g.Forwarder.Delegate != nil || g.Forwarder.Bridge == nil || g.Forwarder.Bridge.Ports != 2 || len(g.Ports) != 2 || !g.Ports[1].Present {
			t.Errorf("the grant is %+v", g)
		}
		f.sends(readyMessage())
		f.receives("begin", 0)
		f.starts(k)
		f.ends()
		k.awaitWaiting()
	}
	if why := k.ended(); why != nil {
		t.Errorf("the errors are %q", why)
	}
}

// TestRefused checks that a switch that is not admitted gets the reason and no descriptor, and changes nothing.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		running bool
		first   grant.Message
		want    string
		code    int
	}{
		{"another version", false, grant.Message{Hello: &grant.Hello{Version: grant.Version + 1}}, fmt.Sprintf("version %d of its protocol, not %d", grant.Version, grant.Version+1), grant.TryLater},
		{"a takeover of another version", true, grant.Message{Hello: &grant.Hello{Version: grant.Version + 1, Takeover: true}}, "of its protocol", testExitCode},
		{"a takeover of nothing", false, takeoverMessage(), "a running switch", testExitCode},
		{"a takeover with settings without Config.ParseSettings", true, grant.Message{Hello: &grant.Hello{Version: grant.Version, Takeover: true, Settings: []byte("{}")}},
			"started by podswitch run", testExitCode},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newTestKeeper(t, shortTimeouts())
			var first *fake
			if c.running {
				first = k.running()
			}
			f := k.connect()
			f.sends(c.first)
			m, _ := f.receives("fault", 0)
			if !strings.Contains(m.Fault.Text, c.want) || m.Fault.Code != c.code {
				t.Errorf("%+v, want %q", m.Fault, c.want)
			}
			f.receivesEnd()
			if first != nil {
				first.ends()
			}
			k.awaitWaiting()
		})
	}
}

// TestTakeover checks that the second switch gets the snapshot of the first one, with its descriptors, and that the address stays taken.
func TestTakeover(t *testing.T) {
	k := newStreamKeeper(t)
	first, next := k.yielding()
	third := k.connect()
	third.sends(takeoverMessage())
	if m, _ := third.receives("fault", 0); !strings.Contains(m.Fault.Text, "take over") {
		t.Errorf("a third one gets the error %q", m.Fault.Text)
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
	m, files := next.receives("begin", 1)
	if string(m.Begin.Snapshot) != `{"a":1}` || !slices.Equal(m.Begin.Connections, []int{1}) || m.Begin.Takeovers != 1 {
		t.Errorf("%+v", m.Begin)
	}
	if _, err := unix.Write(files[0], []byte("x")); err != nil {
		t.Error(err)
	}
	next.starts(k)
	first.receivesEnd()
	next.receives("guest_state", 0)
	if k.taken.Load() != 1 || k.back.Load() != 0 {
		t.Errorf("taken %d times, given back %d times", k.taken.Load(), k.back.Load())
	}
	next.ends()
	k.awaitWaiting()
	_ = unix.Close(files[0])
	files[0] = -1
	if text, err := io.ReadAll(r); string(text) != "x" || err != nil { // no other process has the other end
		t.Errorf("%q, %v", text, err)
	}
}

// TestNextFails checks that the current switch runs on, or begins again, when the next one fails.
func TestNextFails(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	first := k.running()
	for name, fails := range map[string]func(*fake){
		"it disconnects":                         func(f *fake) { f.Close() },
		"it sends Fault":                         func(f *fake) { f.sends(faultMessage()) },
		"it sends Bye":                           func(f *fake) { f.sends(byeMessage()) },
		"it sends a message that is not allowed": func(f *fake) { f.sends(dialMessage(1, grant.Kept, 0)) },
		"it sends bytes that are not a message":  func(f *fake) { _, _ = f.socket.Write([]byte("not a message at all")) },
	} {
		next := k.granted(takeoverMessage())
		fails(next)
		await(t, name+": to be forgotten", func() (gone bool) {
			k.inside(func() { gone = k.loop.next == nil && len(k.loop.sessions) == 1 })
			return gone
		})
		first.sends(dialMessage(1, grant.Kept, 0))
		first.receives("dialled", 0)
	}
	for range 3 { // the next one fails when it is ready, and when it has received Begin
		next := k.granted(takeoverMessage())
		next.sends(readyMessage())
		first.receives("yield", 0)
		next.Close()
		await(t, "the next one to be forgotten", func() (gone bool) {
			k.inside(func() { gone = k.loop.next == nil })
			return gone
		})
		first.sends(yieldedMessage())
		first.resumes(k)
		next = k.granted(takeoverMessage())
		next.sends(readyMessage())
		first.receives("yield", 0)
		first.sends(yieldedMessage())
		next.receives("begin", 0)
		next.sends(faultMessage())
		first.resumes(k)
	}
	first.ends()
	k.awaitWaiting()
	if k.taken.Load() != 1 {
		t.Errorf("taken %d times", k.taken.Load())
	}
}
