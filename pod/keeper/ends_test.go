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
	do       func(k *testKeeper)
	want     string // the error; empty: there is none
	taken    int32
}

// shorter returns shortTimeouts after a change.
func shorter(less func(p *timeouts)) timeouts {
	p := shortTimeouts()
	less(&p)
	return p
}

// starting returns a switch that has received Begin.
func (k *testKeeper) starting() *fake {
	k.t.Helper()
	f := k.granted(helloMessage())
	f.sends(readyMessage())
	f.receives("begin", 0)
	return f
}

// endings are the cases without a takeover.
func endings() []endCase {
	return []endCase{
		{"it disconnects without a message", shortTimeouts(), func(k *testKeeper) { k.connect().Close() }, "", 0},
		{"it disconnects after Grant", shortTimeouts(), func(k *testKeeper) { k.granted(helloMessage()).Close() }, "without giving a reason", 0},
		{"it sends Bye after Grant", shortTimeouts(), func(k *testKeeper) {
			f := k.granted(helloMessage())
			f.sends(byeMessage())
			f.receivesEnd()
		}, "", 0},
		{"it is never ready", shorter(func(p *timeouts) { p.ready = 20 * time.Millisecond }), func(k *testKeeper) { k.granted(helloMessage()).receivesEnd() },
			"has not sent ready within 20ms", 0},
		{"it does not start", shorter(func(p *timeouts) { p.start = 20 * time.Millisecond }), func(k *testKeeper) { k.starting().receivesEnd() },
			"has not sent started within 20ms", 1},
		{"it disconnects while it runs", shortTimeouts(), func(k *testKeeper) { k.running().Close() }, "without giving a reason", 1},
		{"it sends Fault", shortTimeouts(), func(k *testKeeper) { k.running().sends(faultMessage()) }, "it does not work", 1},
		{"it disconnects instead of stopping", shortTimeouts(), func(k *testKeeper) {
			f := k.running()
			f.sends(byeMessage())
			f.receives("stop", 0)
			f.Close()
		}, "", 1},
		{"it does not stop", shortTimeouts(), func(k *testKeeper) {
			f := k.running()
			f.sends(byeMessage())
			f.receives("stop", 0)
			f.receivesEnd()
		}, "", 1},
		{"it sends Bye many times", shortTimeouts(), func(k *testKeeper) {
			f := k.running()
			for range 100 {
				f.sends(byeMessage())
			}
			f.receives("stop", 0)
			f.receivesEnd()
		}, "", 1},
		{"it reads nothing", shortTimeouts(), func(k *testKeeper) { k.running().readsNothing(20 * outboxSize) }, "does not read its messages", 1},
		{"it sends bytes that are not a message", shortTimeouts(), func(k *testKeeper) { _, _ = k.running().socket.Write([]byte("GET / HTTP/1.0\r\n\r\n")) },
			"the session with the switch has failed", 1},
	}
}

// endingsOfTakeovers are the cases during and after a takeover.
func endingsOfTakeovers() []endCase {
	return []endCase{
		{"it does not yield", shorter(func(p *timeouts) { p.yield = 20 * time.Millisecond }), func(k *testKeeper) {
			first, next := k.yielding()
			first.receives("stop", 0)
			first.receivesEnd()
			next.receivesEnd()
		}, "has not sent yielded within 20ms", 1},
		{"it disconnects instead of yielding", shortTimeouts(), func(k *testKeeper) {
			first, next := k.yielding()
			first.Close()
			next.receivesEnd()
		}, "without giving a reason", 1},
		{"both disconnect before the next one has started", shortTimeouts(), func(k *testKeeper) {
			first, next := k.beginning()
			first.Close()
			await(k.t, "the first one to be forgotten", func() (gone bool) {
				k.inside(func() { gone = len(k.loop.sessions) == 1 })
				return gone
			})
			next.Close()
		}, "without giving a reason", 1},
		{"the first one disconnects when it has yielded", shortTimeouts(), func(k *testKeeper) {
			first, next := k.beginning()
			first.Close()
			next.starts(k)
			next.receives("guest_state", 0)
			next.ends()
		}, "", 1},
		{"the second one disconnects", shortTimeouts(), func(k *testKeeper) { k.handedOver().Close() }, "without giving a reason", 1},
		{"the third one sends Fault", shortTimeouts(), func(k *testKeeper) {
			second := k.handedOver()
			third := k.granted(takeoverMessage())
			third.sends(readyMessage())
			second.receives("yield", 0)
			second.sends(yieldedMessage())
			if m, _ := third.receives("begin", 0); m.Begin.Takeovers != 2 {
				k.t.Errorf("%d takeovers", m.Begin.Takeovers)
			}
			third.sends(grant.Message{Started: &grant.Started{}})
			third.receives("guest_state", 0)
			third.sends(faultMessage())
		}, "it does not work", 1},
	}
}

// TestEnds checks that the address is given back however and whenever a session ends, and that the keeper logs the reason.
func TestEnds(t *testing.T) {
	for _, c := range append(endings(), endingsOfTakeovers()...) {
		t.Run(c.name, func(t *testing.T) {
			k := newTestKeeper(t, c.timeouts)
			c.do(k)
			if c.want != "" {
				await(t, "the reason", func() bool { return len(k.ended()) > 0 })
			}
			k.awaitWaiting()
			if why := k.ended(); (c.want == "") != (len(why) == 0) || c.want != "" && !strings.Contains(strings.Join(why, "\n"), c.want) || len(why) > 1 {
				t.Errorf("the errors are %q, want %q", why, c.want)
			}
			if taken := k.taken.Load(); taken != c.taken {
				t.Errorf("the address was taken %d times, want %d", taken, c.taken)
			}
			k.inside(func() { k.loop.timeouts = shortTimeouts() })
			k.running().ends() // another switch can begin
			k.awaitWaiting()
		})
	}
}
