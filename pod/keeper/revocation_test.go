package keeper

import (
	"errors"
	"fmt"
	"testing"
)

// TestSlowRevocations: a revocation that takes longer than the keeper waits, and succeeds, does not count as a socket that a switch keeps.
func TestSlowRevocations(t *testing.T) {
	results := make(chan error)
	l := &loop{}
	for range maxUnrevoked {
		r := startRevocation(func() error { return <-results })
		held := &revocationError{fmt.Errorf("packet:eth0: %w", r.wait(0)), r}
		l.noteUnrevoked(errors.Join(errors.Join(nil, held), errors.New("another")))
	}
	if !l.tooManyUnrevoked() {
		t.Errorf("%d revocations count, want %d", len(l.unrevoked), maxUnrevoked)
	}
	results <- nil
	await(t, "the end of one", func() bool { return !l.tooManyUnrevoked() })
	results <- errors.New("the filter is locked")
	all := l.unrevoked
	await(t, "the end of another", func() bool {
		for _, r := range all {
			select {
			case <-r.ended:
				return true
			default:
			}
		}
		return false
	})
	if l.tooManyUnrevoked(); len(l.unrevoked) != maxUnrevoked-1 {
		t.Errorf("%d revocations count, want %d: one has failed", len(l.unrevoked), maxUnrevoked-1)
	}
	for range maxUnrevoked - 2 {
		results <- nil
	}
	await(t, "the end of all", func() bool { l.tooManyUnrevoked(); return len(l.unrevoked) == 1 })
}
