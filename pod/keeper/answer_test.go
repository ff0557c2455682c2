package keeper

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
)

// TestWaitingKeeperAnswers checks that a keeper answers at the control socket while it waits for a switch, and not beside one.
func TestWaitingKeeperAnswers(t *testing.T) {
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.Version, cfg.Log = "1.2.3", zap.NewNop()
	k := &testKeeper{t: t, dir: dir}
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- Listen(ctx, cfg, k.path(), k.path()+".own") }()
	waits := func() (s control.Status, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return s, control.Get(ctx, cfg.Control, control.StatusPath, &s)
	}
	wantWaiting := func(when string) {
		t.Helper()
		await(t, "the keeper to answer "+when, func() bool {
			s, err := waits()
			return err == nil && s.Waiting && s.Version == "1.2.3" && s.KeeperPID == os.Getpid()
		})
	}
	wantWaiting("before a switch")
	f := k.granted(helloMessage())
	await(t, "the keeper not to answer beside a switch", func() bool {
		_, err := waits()
		return errors.Is(err, context.DeadlineExceeded)
	})
	f.Close()
	wantWaiting("after a switch")
	stop()
	if err := within(t, "the end of the keeper", result); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(cfg.Control); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the control socket is left: %v", err)
	}
}

// TestControlSocketIsReplaced checks that a switch which has ended and keeps the control socket neither answers at it any more, nor keeps others from
// answering.
func TestControlSocketIsReplaced(t *testing.T) {
	for name, end := range map[string]func(f *fake){
		"it is asked to end": (*fake).ends,
		"it ends unasked":    func(f *fake) { f.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cfg := configOf(dir)
			cfg.HoldSwitch, cfg.Control = time.Minute, filepath.Join(dir, "new", "control")
			k := &testKeeper{t: t, dir: dir}
			ctx, stop := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- Listen(ctx, cfg, k.path(), k.path()+".own") }()
			answers := func(when string) {
				t.Helper()
				await(t, "the keeper to answer "+when, func() bool {
					var s control.Status
					return control.Get(t.Context(), cfg.Control, control.StatusPath, &s) == nil && s.Waiting
				})
			}
			answers("before a switch")
			f := k.connect()
			f.sends(helloMessage())
			_, files := f.receives("grant", 1)
			f.receives("opened", 1)
			f.receives("opened", 1)
			f.sends(readyMessage())
			f.receives("begin", 0)
			f.sends(grant.Message{Started: &grant.Started{}})
			f.sends(dialMessage(1, grant.Kept, 0))
			f.receives("dialled", 0) // it runs
			end(f)
			answers("after it")
			polls := []unix.PollFd{{Fd: int32(files[0])}}
			if _, err := unix.Poll(polls, 0); err != nil || polls[0].Revents&unix.POLLHUP == 0 { // it is shut down: accept(2) returns nothing
				t.Errorf("the socket of the switch has the events %#x, %v", polls[0].Revents, err)
			}
			_ = unix.Shutdown(files[0], unix.SHUT_RDWR)
			answers("after the switch has shut its socket down")
			k.granted(helloMessage()).Close()
			answers("after the next one")
			stop()
			if err := within(t, "the end of the keeper", result); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(filepath.Dir(cfg.Control)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the directory of the control socket is left: %v", err)
			}
		})
	}
}

// TestFaultOfASwitch checks that no line of a switch's reason looks like a message of the keeper, and that a long one is cut.
func TestFaultOfASwitch(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	for text, want := range map[string]string{
		"first\npodswitch: second":                    "first\n    podswitch: second",
		strings.Repeat("x", maxReason-1) + "é" + "\n": strings.Repeat("x", maxReason-1) + "...",
	} {
		m := faultMessage()
		m.Fault.Text = text
		k.running().sends(m)
		k.awaitWaiting()
		if why := k.ended(); len(why) == 0 || why[len(why)-1] != want {
			t.Errorf("the errors are %.100q", why)
		}
	}
}
