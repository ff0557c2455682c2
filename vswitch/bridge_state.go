package vswitch

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/internal/lookup"
)

// State returns the stations that b has learned. It is for a takeover inside podswitch; Stations is for everything else. It may
// be called at any time; if frames arrive during the call, it may or may not include their sources.
func (b *Bridge) State(now time.Duration) handover.Bridge {
	s := handover.Bridge{NextSweep: b.stations.UntilSweep(now)}
	b.stations.Each(func(e lookup.Entry) {
		if value := stationValue(e.Value); !value.isStatic() {
			s.Stations = append(s.Stations, handover.Station{
				MAC: handover.MAC(macFromKey(e.Key.Hi)), Port: value.port(), Age: ageOf(e.Seen, now),
			})
		}
	})
	slices.SortFunc(s.Stations, func(a, b handover.Station) int { return slices.Compare(a.MAC[:], b.MAC[:]) })
	return s
}

// Resume replaces the stations that b has learned by those of another bridge of the same configuration. Static stations of b stay. If they are
// more than those of the other bridge, whose table any host can fill, the learned ones that have been silent longest find no room. It is
// for a takeover inside podswitch; call it after SetStatic and before the first frame. For a state that b could not reach itself,
// Resume returns an error and changes nothing.
func (b *Bridge) Resume(s handover.Bridge, now time.Duration) error {
	static := make(map[handover.MAC]bool)
	b.stations.Each(func(e lookup.Entry) {
		if stationValue(e.Value).isStatic() {
			static[handover.MAC(macFromKey(e.Key.Hi))] = true
		}
	})
	learned := slices.DeleteFunc(slices.Clone(s.Stations), func(station handover.Station) bool { return static[station.MAC] })
	if n := len(s.Stations); n > b.cfg.Limit {
		return fmt.Errorf("stations: %d, want at most %d", n, b.cfg.Limit)
	}
	if err := checkNextSweep(s.NextSweep); err != nil {
		return err
	}
	err := checkList("stations", s.Stations, func(station *handover.Station) (handover.MAC, error) {
		return station.MAC, b.checkStation(station)
	})
	if err != nil {
		return err
	}
	b.stations.Remove(func(e lookup.Entry) bool { return !stationValue(e.Value).isStatic() })
	slices.SortStableFunc(learned, func(a, b handover.Station) int { return cmp.Compare(a.Age, b.Age) })
	for _, station := range learned {
		seen := now - station.Age
		b.stations.Set(lookup.Entry{Key: MAC(station.MAC).tableKey(), Value: uint64(newStationValue(station.Port, false)), Seen: seen, Probed: seen})
	}
	b.stations.DelaySweep(now + s.NextSweep)
	return nil
}

func (b *Bridge) checkStation(station *handover.Station) error {
	if err := checkStationMAC(station.MAC); err != nil {
		return err
	}
	if station.Port < 0 || station.Port >= b.cfg.Ports {
		return fmt.Errorf("port %d: want at least 0, and less than %d", station.Port, b.cfg.Ports)
	}
	if station.Port == b.cfg.PinnedPort && !b.cfg.Pinned.IsZero() && MAC(station.MAC) != b.cfg.Pinned {
		return fmt.Errorf("mac %q: want %v at port %d", station.MAC, b.cfg.Pinned, station.Port)
	}
	return checkAge(station.Age)
}
