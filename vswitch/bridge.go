package vswitch

import (
	"slices"
	"sync"
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
	"github.com/podswitch/podswitch/vnet"
)

// Bridge is a learning switch: IEEE 802.1D-2004, section 7, without spanning tree and without VLAN awareness. It implements
// Forwarder.
//
// The steps for a frame, in this order:
//
//  1. Validate: an Ethernet header; no probe of the loop guard and no port that it has blocked; an offload header that fits the frame;
//     the pinned MAC, if the port has one.
//  2. Drop frames for the reserved destinations of 802.1, except those that GroupForward selects.
//  3. Drop frames that are too large for a port of the switch and cannot be segmented.
//  4. Learn that the source is at this port, unless the source is a group or zero. A frame that returns to the upstream port is
//     dropped instead.
//  5. Forward to the port of the destination. Flood to all other ports if the destination is a group or is not known. A frame never
//     leaves at the port where it entered, or at one that the loop guard has blocked.
//
// All methods except Resume may be called concurrently.
type Bridge struct {
	cfg      BridgeConfig
	stations *lookup.Table // by MAC; the values are stationValues
	guard    []guardedPort // by port; nil without a loop guard
	probe    []byte        // of port 0

	flapMu sync.Mutex // guards the following field
	flap   Flap       // the newest one since the last TakeFlap
}

// BridgeConfig configures a Bridge. Only Ports is required.
type BridgeConfig struct {
	Ports    int           // number of ports; with fewer than 2, no frame has a destination
	Ageing   time.Duration // a station that sends nothing for this time is forgotten; 0: DefaultAgeing
	Limit    int           // largest number of stations, below 0 none; 0: DefaultStations
	MaxFrame int           // largest frame in bytes after segmentation, without VLAN tags; 0: no limit
	// Upstream is the port on whose far side a hairpin bridge may return frames that the switch sent. The first port cannot be it: 0, or
	// less, means that there is none. A station that sent at another port less than two seconds ago is not learned at Upstream: such
	// a frame is dropped as Reflected.
	Upstream int
	// Pinned is the only source that may send at PinnedPort, and is a static station there. With the zero MAC any station may,
	// and PinnedPort has no meaning.
	Pinned     MAC
	PinnedPort int
	// GroupForward selects the reserved destinations of 802.1 that are forwarded: bit N stands for 01:80:c2:00:00:0N, so that 1<<14 forwards
	// LLDP. Linux has the same mask (group_fwd_mask of a bridge).
	GroupForward uint16
	// ProbeID is the random id of the switch in the probes of the loop guard, which finds loops outside the switch; 0: no loop guard.
	// Of two ports in a loop, the one with the higher number is blocked. Each Tick sends probes.
	ProbeID uint64
}

// The values of BridgeConfig for a field that is 0. Ageing is that of IEEE 802.1Q-2022, table 8-6.
const (
	DefaultAgeing   = 300 * time.Second
	DefaultStations = 4096
)

// withDefaults returns the configuration with the values that its zeros stand for.
func (cfg BridgeConfig) withDefaults() BridgeConfig {
	if cfg.Ageing == 0 {
		cfg.Ageing = DefaultAgeing
	}
	if cfg.Limit == 0 {
		cfg.Limit = DefaultStations
	}
	if cfg.Upstream == 0 {
		cfg.Upstream = -1
	}
	return cfg
}

// A Station is one entry of a Bridge's forwarding table.
type Station struct {
	MAC    MAC
	Port   int
	Age    time.Duration // since the station's last frame, to within a second; 0 if Static
	Static bool          // configured: does not age and does not move
}

// A stationValue is the value of a table entry: the port in its low 32 bits, and flags above.
type stationValue uint64

const (
	staticFlag = 1 << 32
	movedFlag  = 1 << 33 // the station was at another port before; its entry has the time of the move as probed
)

func newStationValue(port int, static bool) stationValue {
	if static {
		return stationValue(port) | staticFlag
	}
	return stationValue(port)
}

func (v stationValue) port() int      { return int(uint32(v)) }
func (v stationValue) isStatic() bool { return v&staticFlag != 0 }

// reflectionTime is how long after a frame from a station the upstream port may return it. It is much longer than a bridge delays a
// frame, and longer than the second by which a station's time may be late.
const reflectionTime = 2 * time.Second

// NewBridge returns a learning switch whose only station is the pinned one.
func NewBridge(cfg BridgeConfig) *Bridge {
	cfg = cfg.withDefaults()
	b := &Bridge{cfg: cfg, stations: lookup.New(max(cfg.Limit, 0), true)}
	if cfg.ProbeID != 0 {
		b.guard, b.probe = make([]guardedPort, cfg.Ports), newProbe(cfg.ProbeID)
	}
	b.SetStatic(cfg.Pinned, cfg.PinnedPort, 0)
	return b
}

// Forward implements Forwarder.
func (b *Bridge) Forward(in int, batch []Frame, now time.Duration, out *Out) {
	for i := range batch {
		b.forward(in, &batch[i], now, out)
	}
}

// Tick implements Forwarder: it removes stations that have aged, and sends the probes of the loop guard. Forward does not depend on it
// for the age of a station.
func (b *Bridge) Tick(now time.Duration, out *Out) {
	b.stations.Remove(b.expired(now))
	b.sendProbes(now, out)
}

func (b *Bridge) forward(in int, f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < packet.EthernetLen {
		out.Drop(Short)
		return
	}
	if b.isLooped(in, f.Data, now) {
		out.Drop(Looped)
		return
	}
	if !vnet.Check(&f.Offload, f.Data) {
		out.Drop(BadOffload)
		return
	}
	vnet.CompleteSCTP(&f.Offload, f.Data)
	target, source := destination(f.Data), sender(f.Data)
	if in == b.cfg.PinnedPort && !b.cfg.Pinned.IsZero() && source != b.cfg.Pinned {
		out.dropFor(ForeignMAC, offendingMAC(source))
		return
	}
	if packet.IsReserved(target) && b.cfg.GroupForward>>target[5]&1 == 0 {
		out.Drop(Reserved)
		return
	}
	if b.exceeds(f) {
		out.Drop(TooBig)
		return
	}
	if !b.learn(in, source, now) {
		out.Drop(Reflected)
		return
	}
	if target.IsMulticast() {
		b.flood(in, f, now, out)
		return
	}
	_, value, seen, ok := b.stations.Find(target.tableKey())
	switch station := stationValue(value); {
	case !ok || b.isAged(station, seen, now):
		b.flood(in, f, now, out)
	case station.port() == in:
		out.Drop(Hairpin)
	case !b.send(station.port(), f, now, out):
		out.Drop(Looped)
	}
}

// send sends a frame to a port, and reports false if the loop guard has blocked it.
func (b *Bridge) send(port int, f *Frame, now time.Duration, out *Out) bool {
	if _, blocked := b.Blocked(port, now); blocked {
		return false
	}
	out.Send(port, *f)
	return true
}

// exceeds reports whether a frame that leaves for f is larger than MaxFrame.
func (b *Bridge) exceeds(f *Frame) bool {
	if b.cfg.MaxFrame == 0 {
		return false
	}
	most := b.cfg.MaxFrame + packet.TagLen(f.Data)
	lowerFragments(f, most)
	return vnet.WireLen(f.Offload, f.Data) > most
}

// learn records that source is at port in. It reports false for a frame that was reflected to the upstream port.
func (b *Bridge) learn(in int, source MAC, now time.Duration) bool {
	if !source.isStation() {
		return true
	}
	s, value, seen, ok := b.stations.Find(source.tableKey())
	station := stationValue(value)
	if ok && station.port() == in {
		s.Touch(seen, now)
		return true
	}
	if ok && in == b.cfg.Upstream && (station.isStatic() || now-seen < reflectionTime && !b.isAged(station, seen, now)) {
		return false
	}
	if ok && station.isStatic() {
		return true
	}
	moved := newStationValue(in, false)
	if ok && !b.isAged(station, seen, now) {
		moved |= movedFlag
		if station&movedFlag != 0 && now-s.Probed() < flapTime {
			b.flapMu.Lock()
			b.flap = Flap{source, station.port(), in}
			b.flapMu.Unlock()
		}
	}
	b.stations.Put(source.tableKey(), uint64(moved), now, b.expired(now))
	return true
}

func (b *Bridge) flood(in int, f *Frame, now time.Duration, out *Out) {
	if b.cfg.Ports < 2 {
		out.Drop(NoPort)
		return
	}
	sent := false
	for port := range b.cfg.Ports {
		if port != in && b.send(port, f, now, out) {
			sent = true
		}
	}
	if !sent {
		out.Drop(Looped)
	}
}

func (b *Bridge) isAged(station stationValue, seen, now time.Duration) bool {
	return !station.isStatic() && now-seen >= b.cfg.Ageing
}

// expired returns isAged for one time.
func (b *Bridge) expired(now time.Duration) func(lookup.Entry) bool {
	return func(e lookup.Entry) bool { return b.isAged(stationValue(e.Value), e.Seen, now) }
}

// SetStatic adds a static station at a port, in place of what was learned about it. A static station does not age, does not move and is
// not forgotten until RemoveStatic. SetStatic reports false, and changes nothing, if the table is full, the port does not exist, or mac is zero or a
// group. The time now is that of Forward's clock.
func (b *Bridge) SetStatic(mac MAC, port int, now time.Duration) bool {
	return mac.isStation() && port >= 0 && port < b.cfg.Ports &&
		b.stations.Put(mac.tableKey(), uint64(newStationValue(port, true)), now, b.expired(now))
}

// RemoveStatic forgets a static station, except the pinned one. Its MAC may then be learned at any port.
func (b *Bridge) RemoveStatic(mac MAC) {
	b.stations.Remove(func(e lookup.Entry) bool {
		return e.Key == mac.tableKey() && stationValue(e.Value).isStatic() && mac != b.cfg.Pinned
	})
}

// Forget removes the stations that were learned at a port. Call it when the port's attachment was replaced.
func (b *Bridge) Forget(port int) {
	b.stations.Remove(func(e lookup.Entry) bool {
		return stationValue(e.Value).port() == port && !stationValue(e.Value).isStatic()
	})
}

// Stations returns the forwarding table at a time on Forward's clock, ordered by port and MAC. The slice is the caller's.
func (b *Bridge) Stations(now time.Duration) []Station {
	var stations []Station
	b.stations.Each(func(e lookup.Entry) {
		value := stationValue(e.Value)
		if b.isAged(value, e.Seen, now) {
			return
		}
		station := Station{MAC: macFromKey(e.Key.Hi), Port: value.port(), Static: value.isStatic()}
		if !station.Static {
			station.Age = ageOf(e.Seen, now)
		}
		stations = append(stations, station)
	})
	slices.SortFunc(stations, func(a, b Station) int {
		if a.Port != b.Port {
			return a.Port - b.Port
		}
		return slices.Compare(a.MAC[:], b.MAC[:])
	})
	return stations
}
