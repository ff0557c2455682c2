package vswitch

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/podswitch/podswitch/internal/handover"
)

// Counters count the frames and bytes of one port, from the switch's point of view: Rx entered the switch at this port, Tx left
// it there. A frame that is still to be segmented counts once, even if the port merged it from several. Drops are counted at the
// port where the frame entered, or, for the reasons that a port finds while it transmits, at the port where the frame was to leave.
//
// The zero value is ready to use. All methods may be called concurrently. Counters must not be copied.
type Counters struct {
	RxFrames, RxBytes atomic.Uint64
	TxFrames, TxBytes atomic.Uint64
	drops             [numReasons]atomic.Uint64
	offenders         [numReasons]offenderCell
}

// Drop counts n dropped frames.
func (c *Counters) Drop(r Reason, n int) { c.drops[r].Add(uint64(n)) }

// Sent counts frames that left at the port, and the sum of their lengths in bytes.
func (c *Counters) Sent(frames, bytes int) {
	c.TxFrames.Add(uint64(frames))
	c.TxBytes.Add(uint64(bytes))
}

// Drops returns the number of dropped frames by the name of the reason. Reasons with no drops are absent. The map is the caller's.
func (c *Counters) Drops() map[string]uint64 {
	drops := make(map[string]uint64)
	for r := range c.drops {
		if n := c.drops[r].Load(); n > 0 {
			drops[Reason(r).String()] = n
		}
	}
	return drops
}

// State returns the counters. It is for a takeover inside podswitch.
func (c *Counters) State() handover.Counters {
	return handover.Counters{
		RxFrames: c.RxFrames.Load(), RxBytes: c.RxBytes.Load(),
		TxFrames: c.TxFrames.Load(), TxBytes: c.TxBytes.Load(),
		Drops: c.Drops(),
	}
}

// Resume adds the counters of another process. It is for a takeover inside podswitch. For an unknown reason or an impossible number,
// Resume returns an error and adds nothing.
func (c *Counters) Resume(s handover.Counters) error {
	for name, n := range map[string]uint64{"rx_frames": s.RxFrames, "rx_bytes": s.RxBytes, "tx_frames": s.TxFrames, "tx_bytes": s.TxBytes} {
		if n > math.MaxInt64 {
			return fmt.Errorf("%s %d: want at most %d", name, n, math.MaxInt64)
		}
	}
	for name, n := range s.Drops {
		if !slices.Contains(reasonNames[:], name) {
			return fmt.Errorf("drops: unknown reason %q", name)
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
