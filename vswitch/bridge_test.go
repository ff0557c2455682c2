package vswitch

import (
	"testing"
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
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
		count := 0
		b.stations.Each(func(lookup.Entry) { count++ })
		if count != test.left {
			t.Errorf("%d stations in the table at %v, want %d", count, test.now, test.left)
		}
	}
}

// A bridge of which only the ports are configured learns: it is neither a hub nor a hairpin at its first port.
func TestBridgeOfZeros(t *testing.T) {
	b := NewBridge(BridgeConfig{Ports: 3})
	frame := func(to, from byte) []Frame {
		return []Frame{{Data: append([]byte{2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0}, make([]byte, 46)...)}}
	}
	counters := new(Counters)
	out := NewOut(3, counters)
	b.Forward(0, frame(9, 1), 0, out)
	b.Forward(1, frame(9, 1), time.Second, out) // the station moves
	b.Forward(0, frame(9, 1), 2*time.Second, out)
	out.Flush(func(int, []Frame) {})
	b.Forward(2, frame(1, 2), DefaultAgeing, out)
	out.Flush(func(port int, frames []Frame) {
		if port != 0 || len(frames) != 1 {
			t.Errorf("%d frames at port %d, want one at port 0", len(frames), port)
		}
	})
	if drops := counters.Drops(); len(drops) > 0 {
		t.Errorf("drops %v", drops)
	}
	if n := len(b.Stations(DefaultAgeing + 2*time.Second)); n != 1 {
		t.Errorf("%d stations after the default ageing time, want the last", n)
	}
}
