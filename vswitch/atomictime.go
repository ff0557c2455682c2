package vswitch

import (
	"sync/atomic"
	"time"
)

// An atomicTime is a time on the switch's clock that may be absent, for use by several goroutines. The zero value is absent.
// Every time except the largest Duration can be stored, zero and negative ones included.
type atomicTime struct{ encoded atomic.Int64 } // 0: absent; otherwise nanoseconds, and one more from 0 upwards

func (a *atomicTime) store(t time.Duration) {
	if t >= 0 {
		t++
	}
	a.encoded.Store(int64(t))
}

func (a *atomicTime) clear() { a.encoded.Store(0) }

func (a *atomicTime) load() (t time.Duration, ok bool) {
	t = time.Duration(a.encoded.Load())
	if t > 0 {
		return t - 1, true
	}
	return t, t != 0
}
