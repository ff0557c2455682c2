package keeper

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/control"
)

// TestWaitingKeeperAnswers checks that a keeper answers at the control socket while it waits for a switch, and not beside one.
func TestWaitingKeeperAnswers(t *testing.T) {
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.Version, cfg.Log = "1.2.3", zap.NewNop()
	k := &testKeeper{t: t, dir: dir}
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- Listen(ctx, cfg, k.path()) }()
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

// TestFaultOfASwitch checks that no line of a switch's reason looks like a message of the keeper.
func TestFaultOfASwitch(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	m := faultMessage()
	m.Fault.Text = "first\npodswitch: second"
	k.running().sends(m)
	k.awaitWaiting()
	if why := k.ended(); len(why) != 1 || why[0] != "first\n    podswitch: second" {
		t.Errorf("the errors are %q", why)
	}
}
