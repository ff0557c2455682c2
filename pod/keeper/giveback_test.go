package keeper

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/pod/podnet"
)

// TestGiveBackFails checks that the error at the end is about what is true after the last attempt, which is the watchdog's.
func TestGiveBackFails(t *testing.T) {
	failed := errors.New("device or resource busy")
	for _, c := range []struct {
		name     string
		failed   error
		watchdog string // command that runs when the keeper closes the pair; empty: there is no watchdog
		want     string // part of the error; empty: there is no error
	}{
		{"the watchdog restores", failed, "true", ""},
		{"the watchdog fails", failed, "false", "give the address back: device or resource busy\nrestore by the watchdog: exit status 1"},
		{"no watchdog", failed, "", "give the address back: device or resource busy"},
		{"no interface", fmt.Errorf("eth0: %w", podnet.ErrLinkGone), "true", podnet.ErrLinkGone.Error()},
		{"the keeper restores", nil, "false", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newTestKeeper(t, shortTimeouts())
			f := k.running()
			k.inside(func() {
				undo := k.loop.undoTake
				k.loop.undoTake = func() error { return errors.Join(undo(), c.failed) }
				if c.watchdog == "" {
					return
				}
				var err error
				if k.loop.watchdog, err = startWatchdog(afterPair(c.watchdog), k.loop.log); err != nil {
					t.Error(err)
				}
			})
			f.ends()
			k.awaitWaiting()
			if why := strings.Join(k.ended(), "\n"); (why == "") != (c.want == "") || !strings.Contains(why, c.want) {
				t.Errorf("the error is %q, want %q", why, c.want)
			}
		})
	}
}

// TestTakeFails checks that an attempt to take the address that failed leaves the rest to the watchdog, whose failure is an error.
func TestTakeFails(t *testing.T) {
	const undo = "undo the steps before: no memory"
	for watchdog, want := range map[string]string{"true": "the address cannot be taken", "false": undo + "\nrestore by the watchdog: exit status 1"} {
		t.Run(watchdog, func(t *testing.T) {
			k := newTestKeeper(t, shortTimeouts())
			k.inside(func() {
				k.loop.takeAddress = func(*resources) (undo func() error, err error) {
					if k.loop.watchdog, err = startWatchdog(afterPair(watchdog), k.loop.log); err != nil {
						t.Error(err)
					}
					return nil, &podnet.TakeError{Err: errors.New("the address cannot be taken"), Undo: errors.New("no memory")}
				}
			})
			f := k.granted(helloMessage())
			f.sends(readyMessage())
			if m, _ := f.receives("fault", 0); !strings.HasPrefix(m.Fault.Text, "the address cannot be taken") {
				t.Errorf("the switch gets the error %q", m.Fault.Text)
			}
			f.receivesEnd()
			k.awaitWaiting()
			why := strings.Join(k.ended(), "\n")
			if !strings.HasPrefix(why, "the address cannot be taken") || !strings.HasSuffix(why, want) {
				t.Errorf("the error is %q, want one that ends with %q", why, want)
			}
			if watchdog == "true" && strings.Contains(why, undo) {
				t.Errorf("the error is %q, although the watchdog has undone everything", why)
			}
			if n := k.seen.FilterMessageSnippet("as it was").Len(); n == 1 != (watchdog == "true") {
				t.Errorf("%d log lines report that the interface is as it was", n)
			}
		})
	}
}

// afterPair makes a watchdog that runs a command when the keeper has closed the pair.
func afterPair(command string) func(end *os.File) *exec.Cmd {
	return func(end *os.File) *exec.Cmd {
		c := exec.Command("sh", "-c", "cat <&3; "+command) // prints to nowhere
		c.ExtraFiles = []*os.File{end}
		return c
	}
}
