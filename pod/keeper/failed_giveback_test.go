package keeper

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/podswitch/podswitch/pod/hypervisor"
)

// TestNothingFollowsAFailedGiveBack checks that an address which was given back stays, although the end of that has failed: the keeper's own changes of the
// interface are no reason to remove the address again.
func TestNothingFollowsAFailedGiveBack(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.running()
	k.wantTaken(t)
	state := filepath.Join(k.dir, "state", "state.json")
	if err := errors.Join(os.Remove(state), os.MkdirAll(filepath.Join(state, "x"), 0o700)); err != nil { // cannot be removed
		t.Fatal(err)
	}
	f.sends(byeMessage())
	f.receivesEnd("stop", "guest_state")
	k.awaitWaiting()
	if k.seen.FilterMessageSnippet("after the keeper could not").Len() == 0 {
		t.Fatal("the keeper has given the address back")
	}
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if now := pod(t); now != k.before {
			t.Fatalf("the pod is\n%s\nand was\n%s", now, k.before)
		}
	}
}
