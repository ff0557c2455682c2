package keeper

import (
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/pod/grant"
)

// An endCase is a way in which a session ends.
type endCase struct {
	name     string
	timeouts timeouts
	do       func(w *world)
	want     string // why the switch has ended; empty: it was asked to, or was not at work
	taken    int32
}

// shorter is shortTimeouts with less of it for one thing.
func shorter(less func(p *timeouts)) timeouts {
	p := shortTimeouts()
	less(&p)
	return p
}

// told is a switch that was told to begin, and has not said that it did.
func (w *world) told() *fake {
	w.t.Helper()
	f := w.granted(helloMessage())
	f.sends(readyMessage())
	f.receives("go", 0)
	return f
}

// endings are those of a switch alone.
func endings() []endCase {
	return []endCase{
		{"a connection that says nothing goes", shortTimeouts(), func(w *world) { w.connect().Close() }, "", 0},
		{"it goes when it has its grant", shortTimeouts(), func(w *world) { w.granted(helloMessage()).Close() }, "without giving a reason", 0},
		{"it says goodbye when it has its grant", shortTimeouts(), func(w *world) {
			f := w.granted(helloMessage())
			f.sends(byeMessage())
			f.receivesEnd()
		}, "", 0},
		{"it is never ready", shorter(func(p *timeouts) { p.ready = 20 * time.Millisecond }), func(w *world) { w.granted(helloMessage()).receivesEnd() },
			"has not sent Ready within 20ms", 0},
		{"it does not start", shorter(func(p *timeouts) { p.start = 20 * time.Millisecond }), func(w *world) { w.told().receivesEnd() },
			"has not sent Started within 20ms", 1},
		{"it goes when it is at work", shortTimeouts(), func(w *world) { w.running().Close() }, "without giving a reason", 1},
		{"it says why", shortTimeouts(), func(w *world) { w.running().sends(faultMessage()) }, "it does not work", 1},
		{"it goes instead of stopping", shortTimeouts(), func(w *world) {
			f := w.running()
			f.sends(byeMessage())
			f.receives("stop", 0)
			f.Close()
		}, "", 1},
		{"it does not stop", shortTimeouts(), func(w *world) {
			f := w.running()
			f.sends(byeMessage())
			f.receives("stop", 0)
			f.receivesEnd()
		}, "", 1},
		{"it says goodbye often", shortTimeouts(), func(w *world) {
			f := w.running()
			for range 100 {
				f.sends(byeMessage())
			}
			f.receives("stop", 0)
			f.receivesEnd()
		}, "", 1},
		{"it reads nothing", shortTimeouts(), func(w *world) { w.running().readsNothing(20 * outboxSize) }, "does not read its messages", 1},
		{"it sends what is no message", shortTimeouts(), func(w *world) { _, _ = w.running().socket.Write([]byte("GET / HTTP/1.0\r\n\r\n")) },
			"the session with the switch has failed", 1},
	}
}

// endingsOfTakeovers are those while another switch is to go on.
func endingsOfTakeovers() []endCase {
	return []endCase{
		{"it does not yield", shorter(func(p *timeouts) { p.yield = 20 * time.Millisecond }), func(w *world) {
			first, next := w.yielding()
			first.receives("stop", 0)
			first.receivesEnd()
			next.receivesEnd()
		}, "has not sent Yielded within 20ms", 1},
		{"it goes instead of yielding", shortTimeouts(), func(w *world) {
			first, next := w.yielding()
			first.Close()
			next.receivesEnd()
		}, "without giving a reason", 1},
		{"both go before the next one has started", shortTimeouts(), func(w *world) {
			first, next := w.beginning()
			first.Close()
			await(w.t, "the first one to be forgotten", func() (gone bool) {
				w.inside(func() { gone = len(w.loop.sessions) == 1 })
				return gone
			})
			next.Close()
		}, "without giving a reason", 1},
		{"the first one goes when it has yielded", shortTimeouts(), func(w *world) {
			first, next := w.beginning()
			first.Close()
			next.starts(w)
			next.receives("guest", 0)
			next.ends()
		}, "", 1},
		{"the second one goes", shortTimeouts(), func(w *world) { w.handedOver().Close() }, "without giving a reason", 1},
		{"the third one says why it ends", shortTimeouts(), func(w *world) {
			second := w.handedOver()
			third := w.granted(takeoverMessage())
			third.sends(readyMessage())
			second.receives("yield", 0)
			second.sends(yieldedMessage())
			if m, _ := third.receives("go", 0); m.Go.Takeovers != 2 {
				w.t.Errorf("%d takeovers", m.Go.Takeovers)
			}
			third.sends(grant.Message{Started: &grant.Started{}})
			third.receives("guest", 0)
			third.sends(faultMessage())
		}, "it does not work", 1},
	}
}

// TestEnds: however the conversation ends, and when, the address goes back, and the reason is told.
func TestEnds(t *testing.T) {
	for _, c := range append(endings(), endingsOfTakeovers()...) {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.timeouts)
			c.do(w)
			if c.want != "" {
				await(t, "the reason", func() bool { return len(w.ended()) > 0 })
			}
			w.awaitWaiting()
			if why := w.ended(); (c.want == "") != (len(why) == 0) || c.want != "" && !strings.Contains(strings.Join(why, "\n"), c.want) || len(why) > 1 {
				t.Errorf("it says %q, want %q", why, c.want)
			}
			if taken := w.taken.Load(); taken != c.taken {
				t.Errorf("the address was taken %d times, want %d", taken, c.taken)
			}
			w.inside(func() { w.loop.timeouts = shortTimeouts() })
			w.running().ends() // the next one finds everything as the first did
			w.awaitWaiting()
		})
	}
}
