package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/podnet"
)

// TestWatchdogOfAKeeperThatEndsSoon checks that a watchdog is not relieved by another keeper that is killed before it has a watchdog of its own,
// also if the hold time has passed meanwhile.
func TestWatchdogOfAKeeperThatEndsSoon(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte("of a pod"), 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := podnet.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	time.AfterFunc(time.Second, func() { ended <- lock.Close() }) // Lock waits for half a second
	w := &watchdog{dir: dir, log: zap.NewNop()}
	if w.isRelieved(t.Context(), 700*time.Millisecond, "the keeper was killed") {
		t.Error("nobody restores the interface")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
