package keeper

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

// TestNoHello: who connects and says nothing makes room for others.
func TestNoHello(t *testing.T) {
	p := shortTimeouts()
	p.hello = 50 * time.Millisecond
	w := newWorld(t, p)
	var all []*fake
	for range maxSessions {
		all = append(all, w.connect())
	}
	for _, f := range all {
		f.receivesEnd()
	}
	w.inside(func() { w.loop.timeouts.hello = time.Minute })
	w.running().ends()
}

// TestTooMany: no more than a few are connected at once.
func TestTooMany(t *testing.T) {
	w := newWorld(t, shortTimeouts())
	var all []*fake
	for range maxSessions {
		all = append(all, w.connect())
	}
	w.connect().receivesEnd()
	all[0].Close()
	await(t, "one to be gone", func() (gone bool) {
		w.inside(func() { gone = len(w.loop.sessions) < maxSessions })
		return gone
	})
	w.running().ends()
}

// TestOutOfTurn: whoever says what is not for it to say at that time, is at its end.
func TestOutOfTurn(t *testing.T) {
	messages := []grant.Message{helloMessage(), takeoverMessage(), readyMessage(), byeMessage(), stoppedMessage(), yieldedMessage(), reopenMessage(0), reopenMessage(-1), reopenMessage(2), dialMessage(1, grant.Kept, 0)}
	for _, phase := range []struct {
		name    string
		fine    string // what may be said
		reaches func(w *world) *fake
	}{
		{"connected", "hello", func(w *world) *fake { return w.connect() }},
		{"granted", "ready bye", func(w *world) *fake { return w.granted(helloMessage()) }},
		{"running", "bye reopen 0 dial", func(w *world) *fake { return w.running() }},
		{"yielding", "bye yielded reopen 0 dial", func(w *world) *fake { f, _ := w.yielding(); return f }},
		{"the next one", "ready bye", func(w *world) *fake { w.running(); return w.granted(takeoverMessage()) }},
		{"the next one when ready", "bye", func(w *world) *fake { _, f := w.yielding(); return f }},
	} {
		for _, m := range messages {
			kind := m.Name()
			if m.Reopen != nil {
				kind = fmt.Sprint("reopen ", m.Reopen.Port)
			}
			if strings.Contains(phase.fine, kind) {
				continue
			}
			t.Run(phase.name+" "+kind, func(t *testing.T) {
				w := newWorld(t, shortTimeouts())
				files := make([]int, 2)
				if err := unix.Pipe2(files, unix.O_CLOEXEC); err != nil {
					t.Fatal(err)
				}
				f := phase.reaches(w)
				f.sends(m, files[1])
				_ = unix.Close(files[1])
				f.receivesEnd()
				if n, err := unix.Read(files[0], make([]byte, 1)); n != 0 || err != nil { // it ends: the keeper has closed it
					t.Errorf("%d bytes, %v", n, err)
				}
				_ = unix.Close(files[0])
				if n := w.seen.FilterMessage("message not allowed").Len(); n != 1 {
					t.Errorf("%d lines say so", n)
				}
			})
		}
	}
}
