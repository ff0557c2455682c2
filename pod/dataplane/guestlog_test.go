package dataplane

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestGuestLog checks that the lines of a guest are bounded, and that the omitted ones are counted.
func TestGuestLog(t *testing.T) {
	core, seen := observer.New(zapcore.InfoLevel)
	g := newGuestLog(zap.New(core))
	for range 10000 {
		g.event("DISCOVER")
	}
	if n := seen.Len(); n < guestBurst || n > 2*guestBurst {
		t.Errorf("%d lines of 10000", n)
	}
	if n := g.omitted.Load(); n+uint64(seen.Len()) != 10000 {
		t.Errorf("%d lines and %d omitted of 10000", seen.Len(), n)
	}
}
