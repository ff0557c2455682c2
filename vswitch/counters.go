package vswitch

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"
)

// Counters count what passed a port, seen from the switch: Rx entered the switch here, Tx left it here. A frame that is
// still to be segmented counts once, also if the port has merged it from several that it received. Drops are of frames that entered
// here, and of frames that could not leave here.
type Counters struct {
	RxFrames, RxBytes atomic.Uint64
	TxFrames, TxBytes atomic.Uint64
	drops             [numReasons]atomic.Uint64
}

// Drop counts n frames that were not delivered.
func (c *Counters) Drop(r Reason, n int) { c.drops[r].Add(uint64(n)) }

// Sent counts frames that left and their bytes.
func (c *Counters) Sent(frames, bytes int) {
	c.TxFrames.Add(uint64(frames))
	c.TxBytes.Add(uint64(bytes))
}

// Drops returns the reasons that occurred and how often.
func (c *Counters) Drops() map[string]uint64 {
	drops := make(map[string]uint64)
	for r := range c.drops {
		if n := c.drops[r].Load(); n > 0 {
			drops[Reason(r).String()] = n
		}
	}
	return drops
}

// CountersState is what Counters have counted, for the process that goes on counting.
type CountersState struct {
	RxFrames uint64            `json:"rx_frames"`
	RxBytes  uint64            `json:"rx_bytes"`
	TxFrames uint64            `json:"tx_frames"`
	TxBytes  uint64            `json:"tx_bytes"`
	Drops    map[string]uint64 `json:"drops"` // by the reason's name
}

// State returns what was counted so far.
func (c *Counters) State() CountersState {
	return CountersState{c.RxFrames.Load(), c.RxBytes.Load(), c.TxFrames.Load(), c.TxBytes.Load(), c.Drops()}
}

// Resume adds what another process has counted. It does not trust it: an unknown reason or an impossible number is an error,
// and nothing is added then.
func (c *Counters) Resume(s CountersState) error {
	for name, n := range map[string]uint64{"rx_frames": s.RxFrames, "rx_bytes": s.RxBytes, "tx_frames": s.TxFrames, "tx_bytes": s.TxBytes} {
		if n > math.MaxInt64 {
			return fmt.Errorf("%s %d: want at most %d", name, n, math.MaxInt64)
		}
	}
	for name, n := range s.Drops {
		if !slices.Contains(reasonNames[:], name) {
			return fmt.Errorf("drops: unknown reason %q, want one that status shows", name)
		}
		if n > math.MaxInt64 {
			return fmt.Errorf("drops.%s %d: want at most %d", name, n, math.MaxInt64)
		}
	}
	c.RxFrames.Add(s.RxFrames)
	c.RxBytes.Add(s.RxBytes)
	c.TxFrames.Add(s.TxFrames)
	c.TxBytes.Add(s.TxBytes)
	for name, n := range s.Drops {
		c.drops[slices.Index(reasonNames[:], name)].Add(n)
	}
	return nil
}
