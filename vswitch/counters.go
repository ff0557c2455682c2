package vswitch

import "sync/atomic"

// Counters count what passed a port, seen from the switch: Rx entered the switch here, Tx left it here. A frame that is
// still to be segmented counts once. Drops are of frames that entered here, and of frames that could not leave here.
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
