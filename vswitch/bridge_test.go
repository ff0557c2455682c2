package vswitch

import (
	"testing"
	"time"
)

// The tick removes aged stations, so that a full table has room without a search.
func TestBridgeTick(t *testing.T) {
	b := NewBridge(BridgeConfig{Ports: 2, Ageing: time.Minute, Limit: 8, Upstream: -1})
	b.learn(0, MAC{2, 1}, 0)
	b.learn(1, MAC{2, 2}, time.Second)
	b.SetStatic(MAC{2, 3}, 1, 0)
	for _, test := range []struct {
		now  time.Duration
		left int
	}{{time.Minute - 1, 3}, {time.Minute, 2}, {time.Hour, 1}} {
		b.Tick(test.now, nil)
		if b.stations.count != test.left {
			t.Errorf("%d stations in the table at %v, want %d", b.stations.count, test.now, test.left)
		}
	}
}
