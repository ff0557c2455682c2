package vswitch

import (
	"math"
	"testing"
	"time"
)

func TestAtomicTime(t *testing.T) {
	var a atomicTime
	if got, ok := a.load(); ok {
		t.Errorf("the zero value holds %v", got)
	}
	for _, want := range []time.Duration{0, 1, -1, time.Second, -time.Second, math.MinInt64, math.MaxInt64 - 1} {
		a.store(want)
		if got, ok := a.load(); !ok || got != want {
			t.Errorf("stored %d, loaded %d, %v", want, got, ok)
		}
	}
	a.clear()
	if got, ok := a.load(); ok {
		t.Errorf("after clear it holds %v", got)
	}
}
