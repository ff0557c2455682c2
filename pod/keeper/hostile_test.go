package keeper

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
)

// TestNoHello checks that connections without Hello are closed, so that other switches can connect.
func TestNoHello(t *testing.T) {
	p := shortTimeouts()
	p.hello = 50 * time.Millisecond
	k := newTestKeeper(t, p)
	var all []*fake
	for range maxSessions {
		all = append(all, k.connect())
	}
	for _, f := range all {
		f.receivesEnd()
	}
	k.inside(func() { k.loop.timeouts.hello = time.Minute })
	k.running().ends()
}

// TestTooMany checks the bound of sessions.
func TestTooMany(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	var all []*fake
	for range maxSessions {
		all = append(all, k.connect())
	}
	k.connect().receivesEnd("fault")
	all[0].Close()
	await(t, "a session to end", func() (gone bool) {
		k.inside(func() { gone = len(k.loop.sessions) < maxSessions })
		return gone
	})
	k.running().ends()
}

// TestOutOfTurn checks that a message that is not allowed in a phase ends the session, and that its descriptors are closed.
func TestOutOfTurn(t *testing.T) {
	messages := []grant.Message{helloMessage(), takeoverMessage(), readyMessage(), byeMessage(), stoppedMessage(), yieldedMessage(), reopenMessage(0), reopenMessage(-1), reopenMessage(2), dialMessage(1, grant.Kept, 0)}
	for _, phase := range []struct {
		name    string
		fine    string // the messages that are allowed
		reaches func(k *testKeeper) *fake
	}{
		{"connected", "hello", func(k *testKeeper) *fake { return k.connect() }},
		{"granted", "ready bye", func(k *testKeeper) *fake { return k.granted(helloMessage()) }},
		{"running", "bye reopen 0 dial", func(k *testKeeper) *fake { return k.running() }},
		{"yielding", "bye yielded reopen 0 dial", func(k *testKeeper) *fake { f, _ := k.yielding(); return f }},
		{"the next one", "ready bye", func(k *testKeeper) *fake { k.running(); return k.granted(takeoverMessage()) }},
		{"the next one when ready", "bye", func(k *testKeeper) *fake { _, f := k.yielding(); return f }},
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
				k := newTestKeeper(t, shortTimeouts())
				files := make([]int, 2)
				if err := unix.Pipe2(files, unix.O_CLOEXEC); err != nil {
					t.Fatal(err)
				}
				f := phase.reaches(k)
				f.sends(m)
				f.receivesEnd()
				f = phase.reaches(newTestKeeper(t, shortTimeouts()))
				f.sends(m, files[1])
				_ = unix.Close(files[1])
				f.receivesEnd()
				if n, err := unix.Read(files[0], make([]byte, 1)); n != 0 || err != nil { // it ends: the keeper has closed it
					t.Errorf("%d bytes, %v", n, err)
				}
				_ = unix.Close(files[0])
				if n := k.seen.FilterMessage("message not allowed").Len(); n != 1 {
					t.Errorf("%d log lines, want 1", n)
				}
			})
		}
	}
}

// TestFilesUnasked checks that the keeper receives no descriptors that it has not asked for: some hold it up for ever.
func TestFilesUnasked(t *testing.T) {
	for name, reaches := range map[string]func(k *testKeeper) *fake{
		"connected": func(k *testKeeper) *fake { return k.connect() },
		"granted":   func(k *testKeeper) *fake { return k.granted(helloMessage()) },
		"running":   func(k *testKeeper) *fake { return k.running() },
	} {
		t.Run(name, func(t *testing.T) {
			k := newTestKeeper(t, shortTimeouts())
			f := reaches(k)
			f.sends(byeMessage(), 0)
			f.receivesEnd()
			k.awaitWaiting()
			if n := k.seen.FilterMessage("message not allowed").Len(); n != 0 {
				t.Error("the message was read")
			}
			for _, why := range k.ended() {
				if !strings.Contains(why, "not asked for") {
					t.Errorf("ends with %q", why)
				}
			}
		})
	}
}

// TestLargeMessages checks that the keeper refuses a large message by its header, unless it has asked for a snapshot or takes settings: sessions
// together must not use more memory than the keeper's container has.
func TestLargeMessages(t *testing.T) {
	large := json.RawMessage(`"` + strings.Repeat("x", 1<<17) + `"`)
	hello := grant.Message{Hello: &grant.Hello{Version: grant.Version, Settings: large}}
	yielded := grant.Message{Yielded: &grant.Yielded{Snapshot: large}}
	t.Run("refused", func(t *testing.T) {
		k := newTestKeeper(t, shortTimeouts())
		for name, reach := range map[string]func() *fake{
			"connected": k.connect,
			"granted":   func() *fake { return k.granted(helloMessage()) },
			"running":   k.running,
		} {
			f := reach()
			if _, err := f.socket.Write([]byte{0, 1, 0, 1, 0, 0, 0, 0}); err != nil { // a header that announces 64 KiB and a byte
				t.Fatal(err)
			}
			f.receivesEnd()
			k.awaitWaiting()
			t.Log(name)
		}
	})
	t.Run("a snapshot", func(t *testing.T) {
		k := newTestKeeper(t, shortTimeouts())
		first, next := k.yielding()
		first.sends(yielded)
		if m, _ := next.receives("begin", 0); len(m.Begin.Snapshot) != len(large) {
			t.Errorf("a snapshot of %d bytes arrives", len(m.Begin.Snapshot))
		}
	})
	t.Run("settings", func(t *testing.T) {
		dir := t.TempDir()
		cfg := configOf(dir)
		cfg.ParseSettings = func([]byte) (plan.Settings, error) { return plan.Settings{}, nil }
		f := newTestKeeperOf(t, dir, cfg, shortTimeouts()).connect()
		f.sends(hello)
		f.receives("grant", 1)
	})
}
