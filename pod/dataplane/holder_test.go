package dataplane

import (
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

// TestStates checks every state and event. An event that is not listed changes nothing.
func TestStates(t *testing.T) {
	moves := map[state]map[event]state{
		kernel:   {taken: waiting},
		waiting:  {ack: guest, use: guest, stop: kernel},
		released: {ack: guest, linkDown: waiting, stop: kernel},
		guest:    {release: released, decline: released, expire: waiting, linkDown: waiting, stop: kernel},
	}
	for s := range numStates {
		for e := range numEvents {
			want, listed := moves[s][e]
			if !listed {
				want = s
			}
			if got := s.next(e); got != want {
				t.Errorf("state %d, event %s: state %d, want %d", s, e, got, want)
			}
		}
	}
}

func TestHolders(t *testing.T) {
	for s, want := range map[state]vswitch.Holder{
		kernel: vswitch.HolderKernel, waiting: vswitch.HolderSwitch, released: vswitch.HolderSwitch, guest: vswitch.HolderGuest,
	} {
		if got := s.holder(); got != want {
			t.Errorf("state %d: %s, want %s", s, got, want)
		}
	}
}
