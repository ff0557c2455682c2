package oracle

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// Bridge is the model of vswitch.Bridge.
type Bridge struct {
	cfg      vswitch.BridgeConfig
	stations map[vswitch.MAC]station
	sweep    time.Duration         // when a full table may be searched for aged stations again
	blocked  map[int]time.Duration // until when the loop guard blocks a port
}

type station struct {
	port   int
	seen   time.Duration
	static bool
}

// NewBridge returns a learning switch whose only station is the pinned one.
func NewBridge(cfg vswitch.BridgeConfig) *Bridge {
	if cfg.Ageing == 0 {
		cfg.Ageing = 300 * time.Second
	}
	if cfg.Limit == 0 {
		cfg.Limit = 4096
	}
	if cfg.Upstream <= 0 {
		cfg.Upstream = -1
	}
	b := &Bridge{cfg: cfg, stations: map[vswitch.MAC]station{}, blocked: map[int]time.Duration{}}
	b.SetStatic(cfg.Pinned, cfg.PinnedPort, 0)
	return b
}

// Forward processes frames that enter at a port.
func (b *Bridge) Forward(in int, frames []vswitch.Frame, now time.Duration) *Outcome {
	o := newOutcome()
	for _, f := range frames {
		b.forward(in, f, now, o)
	}
	return o
}

func (b *Bridge) forward(in int, f vswitch.Frame, now time.Duration, o *Outcome) {
	// 1. validate
	if len(f.Data) < ethernetHeader {
		o.drop(in, vswitch.Short)
		return
	}
	if b.guards(in, f.Data, now) {
		o.drop(in, vswitch.Looped)
		return
	}
	var possible bool
	if f.Offload, possible = Exact(f.Offload, f.Data); !possible {
		o.drop(in, vswitch.BadOffload)
		return
	}
	f = settled(f, possible)
	to, from := target(f.Data), source(f.Data)
	if b.cfg.Pinned != (vswitch.MAC{}) && in == b.cfg.PinnedPort && from != b.cfg.Pinned {
		o.drop(in, vswitch.ForeignMAC)
		return
	}
	// 2. reserved
	if isReserved(to) && int(b.cfg.GroupForward)&(1<<int(to[5])) == 0 {
		o.drop(in, vswitch.Reserved)
		return
	}
	// 3. size
	if b.cfg.MaxFrame > 0 {
		f = lowered(f, b.cfg.MaxFrame+tags(f.Data))
	}
	if b.cfg.MaxFrame > 0 && wireLength(f.Offload, f.Data) > b.cfg.MaxFrame+tags(f.Data) {
		o.drop(in, vswitch.TooBig)
		return
	}
	// 4. learn
	if b.isReflected(in, from, now) {
		o.drop(in, vswitch.Reflected)
		return
	}
	b.learn(in, from, now)
	// 5. forward
	b.deliver(in, to, f, now, o)
}

func (b *Bridge) deliver(in int, to vswitch.MAC, f vswitch.Frame, now time.Duration, o *Outcome) {
	if s, known := b.stations[to]; known && !isGroup(to) && !b.aged(s, now) {
		if s.port == in {
			o.drop(in, vswitch.Hairpin)
			return
		}
		if b.isBlocked(s.port, now) {
			o.drop(in, vswitch.Looped)
			return
		}
		o.send(s.port, f)
		return
	}
	if b.cfg.Ports < 2 {
		o.drop(in, vswitch.NoPort)
		return
	}
	copies := 0
	for port := range b.cfg.Ports {
		if port != in && !b.isBlocked(port, now) {
			o.send(port, f)
			copies++
		}
	}
	if copies == 0 {
		o.drop(in, vswitch.Looped)
		return
	}
	o.Made += copies - 1
}

func (b *Bridge) aged(s station, now time.Duration) bool {
	return !s.static && now-s.seen >= b.cfg.Ageing
}

// isReflected reports whether a frame at the upstream port has the source of a station that sent at another port within two seconds, or
// is static there.
func (b *Bridge) isReflected(in int, from vswitch.MAC, now time.Duration) bool {
	s, known := b.stations[from]
	recent := now-s.seen < 2*time.Second && !b.aged(s, now)
	return known && isStation(from) && in == b.cfg.Upstream && s.port != in && (s.static || recent)
}

func (b *Bridge) learn(in int, from vswitch.MAC, now time.Duration) {
	s, known := b.stations[from]
	switch {
	case !isStation(from):
	case known && s.port == in: // the time is noted once a second
		if now-s.seen >= time.Second {
			s.seen = now
			b.stations[from] = s
		}
	case known && s.static:
	default:
		b.put(from, station{port: in, seen: now}, now)
	}
}

// put adds or replaces a station. If the table is full, it first removes aged stations, at most once a second.
func (b *Bridge) put(mac vswitch.MAC, s station, now time.Duration) bool {
	if isNobody(mac) {
		return false
	}
	if _, known := b.stations[mac]; !known && len(b.stations) >= b.cfg.Limit {
		if now >= b.sweep {
			b.sweep = now + time.Second
			b.age(now)
		}
		if len(b.stations) >= b.cfg.Limit {
			return false
		}
	}
	b.stations[mac] = s
	return true
}

// Tick removes stations that have aged, and sends the probes of the loop guard.
func (b *Bridge) Tick(now time.Duration) *Outcome {
	b.age(now)
	return b.probes(now)
}

func (b *Bridge) age(now time.Duration) {
	for mac, s := range b.stations {
		if b.aged(s, now) {
			delete(b.stations, mac)
		}
	}
}

// SetStatic adds a static station.
func (b *Bridge) SetStatic(mac vswitch.MAC, port int, now time.Duration) bool {
	return isStation(mac) && port >= 0 && port < b.cfg.Ports && b.put(mac, station{port: port, seen: now, static: true}, now)
}

// Forget removes the stations that were learned at a port.
func (b *Bridge) Forget(port int) {
	for mac, s := range b.stations {
		if s.port == port && !s.static {
			delete(b.stations, mac)
		}
	}
}

// Stations returns the stations that have not aged, ordered by port and MAC.
func (b *Bridge) Stations(now time.Duration) []vswitch.Station {
	var list []vswitch.Station
	for mac, s := range b.stations {
		if b.aged(s, now) {
			continue
		}
		entry := vswitch.Station{MAC: mac, Port: s.port, Static: s.static}
		if !s.static {
			entry.Age = now - s.seen
		}
		list = append(list, entry)
	}
	slices.SortFunc(list, func(x, y vswitch.Station) int {
		return cmp.Or(cmp.Compare(x.Port, y.Port), bytes.Compare(x.MAC[:], y.MAC[:]))
	})
	return list
}
