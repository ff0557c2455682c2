package vswitch

import (
	"fmt"
	"slices"
	"time"
)

// BridgeState is what a Bridge has learned. Static stations are not in it: who builds a bridge sets them.
type BridgeState struct {
	Stations []StationState `json:"stations"` // ordered by MAC; those too that have aged and were not yet removed
	// Full is for how many nanoseconds yet a full table is not searched for stations that have aged.
	Full time.Duration `json:"full_ns"`
}

// StationState is a station that a Bridge has learned.
type StationState struct {
	MAC  MAC           `json:"mac"`
	Port int           `json:"port"`
	Age  time.Duration `json:"age_ns"` // since it was last heard
}

// State returns what b has learned until now. It may be called at any time; what ports receive meanwhile may be in it.
func (b *Bridge) State(now time.Duration) BridgeState {
	s := BridgeState{Full: b.fdb.full(now)}
	b.fdb.each(func(key, value uint64, seen time.Duration) {
		if value&staticStation == 0 {
			s.Stations = append(s.Stations, StationState{macFromKey(key), int(uint32(value)), since(seen, now)})
		}
	})
	slices.SortFunc(s.Stations, func(x, y StationState) int { return slices.Compare(x.MAC[:], y.MAC[:]) })
	return s
}

// Resume goes on with what another bridge of the same ports has learned, instead of what b has. What is static in b stays so. It is
// called before the first frame, and after SetStatic. It returns an error for a state that b could not have itself, and changes nothing then.
func (b *Bridge) Resume(s BridgeState, now time.Duration) error {
	static := make(map[MAC]bool)
	b.fdb.each(func(key, value uint64, _ time.Duration) {
		if value&staticStation != 0 {
			static[macFromKey(key)] = true
		}
	})
	learned := slices.DeleteFunc(slices.Clone(s.Stations), func(e StationState) bool { return static[e.MAC] })
	if n := len(static) + len(learned); n > b.cfg.Limit {
		return fmt.Errorf("stations: %d with the static ones, want at most %d", n, b.cfg.Limit)
	}
	if err := checkFull(s.Full); err != nil {
		return err
	}
	err := unique("stations", s.Stations, func(e *StationState) (MAC, error) { return e.MAC, b.checkStation(e) })
	if err != nil {
		return err
	}
	b.fdb.remove(func(_, value uint64, _ time.Duration) bool { return value&staticStation == 0 })
	for _, e := range learned {
		b.fdb.put(e.MAC.key(), uint64(e.Port), now-e.Age, neverExpires)
	}
	b.fdb.setFull(now + s.Full)
	return nil
}

func (b *Bridge) checkStation(e *StationState) error {
	if err := checkStation(e.MAC); err != nil {
		return err
	}
	if e.Port < 0 || e.Port >= b.cfg.Ports {
		return fmt.Errorf("port %d: want at least 0, and less than %d", e.Port, b.cfg.Ports)
	}
	if e.Port == b.cfg.PinnedPort && !b.cfg.Pinned.IsZero() && e.MAC != b.cfg.Pinned {
		return fmt.Errorf("mac %q: want %v at port %d", e.MAC, b.cfg.Pinned, e.Port)
	}
	return checkAge(e.Age)
}
