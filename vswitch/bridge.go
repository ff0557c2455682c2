package vswitch

import (
	"slices"
	"time"

	"github.com/podswitch/podswitch/vnet"
)

// Bridge is the learning switch: IEEE 802.1D-2004, section 7, without spanning tree and without VLAN awareness.
//
// The steps for a frame, in this order:
//
//  1. validate: an Ethernet header, an offload header that fits the frame, and the pinned MAC, if the port has one
//  2. reserved: 802.1 reserved destinations are never forwarded
//  3. size: what is too large for a port of the switch and cannot be segmented is dropped
//  4. learn: the source is at this port, unless it is no station's address
//  5. forward: to the port of the destination, or to all others; never back to where it came from
type Bridge struct {
	cfg BridgeConfig
	fdb *table
}

// BridgeConfig configures a Bridge.
type BridgeConfig struct {
	Ports    int           // number of ports
	Ageing   time.Duration // a station that was silent for so long is forgotten
	Limit    int           // largest number of stations
	MaxFrame int           // largest frame in bytes after segmentation, without VLAN tags; 0: no limit
	// Upstream is the port that a hairpin may return our own frames on, or -1. A station that was heard at another port just
	// before is not believed to have moved there; such frames are dropped as reflected.
	Upstream int
	// Pinned is the only station that may be at port PinnedPort, and is static there; the zero MAC: any may.
	Pinned     MAC
	PinnedPort int
}

// A Station is an entry of the forwarding database.
type Station struct {
	MAC    MAC
	Port   int
	Age    time.Duration // since it was last heard; 0 for a static one
	Static bool
}

const staticStation = 1 << 32 // flag in a table value whose low bits are the port

// reflectedFor is how long after a station was heard the upstream port may return what it said: much longer than a bridge keeps a
// frame, and longer than the second for which the table may not note that a station was heard again.
const reflectedFor = 2 * time.Second

// NewBridge returns a learning switch without stations but the pinned one.
func NewBridge(cfg BridgeConfig) *Bridge {
	b := &Bridge{cfg: cfg, fdb: newTable(cfg.Limit)}
	b.SetStatic(cfg.Pinned, cfg.PinnedPort, 0)
	return b
}

// Forward implements Forwarder.
func (b *Bridge) Forward(in int, batch []Frame, now time.Duration, out *Out) {
	for i := range batch {
		b.forward(in, &batch[i], now, out)
	}
}

// Tick implements Forwarder: it forgets stations that have aged. Correctness does not depend on it: age is checked at look-up.
func (b *Bridge) Tick(now time.Duration, _ *Out) {
	b.fdb.remove(func(_, value uint64, seen time.Duration) bool { return b.aged(value, seen, now) })
}

func (b *Bridge) forward(in int, f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < ethernetLen {
		out.Drop(Short)
		return
	}
	if !vnet.Check(&f.Offload, f.Data) {
		out.Drop(BadOffload)
		return
	}
	vnet.CompleteSCTP(&f.Offload, f.Data)
	target, source := destination(f.Data), sender(f.Data)
	if in == b.cfg.PinnedPort && !b.cfg.Pinned.IsZero() && source != b.cfg.Pinned {
		out.Drop(ForeignMAC)
		return
	}
	if isReserved(target) {
		out.Drop(Reserved)
		return
	}
	if b.cfg.MaxFrame > 0 && vnet.WireLen(f.Offload, f.Data) > b.cfg.MaxFrame+tagLen(f.Data) {
		out.Drop(TooBig)
		return
	}
	if !b.learn(in, source, now) {
		out.Drop(Reflected)
		return
	}
	if target.IsMulticast() {
		b.flood(in, f, out)
		return
	}
	_, value, seen, ok := b.fdb.find(target.key())
	switch port := int(uint32(value)); {
	case !ok || b.aged(value, seen, now):
		b.flood(in, f, out)
	case port == in:
		out.Drop(Hairpin)
	default:
		out.Send(port, *f)
	}
}

// learn notes that source is at port in. It reports false for a frame that was reflected to the upstream port.
func (b *Bridge) learn(in int, source MAC, now time.Duration) bool {
	if source.IsMulticast() || source.IsZero() {
		return true
	}
	s, value, seen, ok := b.fdb.find(source.key())
	if ok && int(uint32(value)) == in {
		s.touch(seen, now)
		return true
	}
	static := value&staticStation != 0
	if ok && in == b.cfg.Upstream && (static || now-seen < reflectedFor && !b.aged(value, seen, now)) {
		return false
	}
	if ok && static {
		return true
	}
	b.fdb.put(source.key(), uint64(in), now, func(value uint64, seen time.Duration) bool { return b.aged(value, seen, now) })
	return true
}

func (b *Bridge) flood(in int, f *Frame, out *Out) {
	if b.cfg.Ports < 2 {
		out.Drop(NoPort)
		return
	}
	for port := range b.cfg.Ports {
		if port != in {
			out.Send(port, *f)
		}
	}
}

func (b *Bridge) aged(value uint64, seen, now time.Duration) bool {
	return value&staticStation == 0 && now-seen >= b.cfg.Ageing
}

// SetStatic binds a station to a port: it neither ages nor moves, nor is forgotten. It reports false when the table is full, for a port that
// there is not, and for a MAC that is no station's.
func (b *Bridge) SetStatic(mac MAC, port int, now time.Duration) bool {
	return !mac.IsMulticast() && !mac.IsZero() && port >= 0 && port < b.cfg.Ports && b.fdb.put(mac.key(), uint64(port)|staticStation, now,
		func(value uint64, seen time.Duration) bool { return b.aged(value, seen, now) })
}

// Forget removes the stations that were learned at a port, which was closed or lost.
func (b *Bridge) Forget(port int) {
	b.fdb.remove(func(_, value uint64, _ time.Duration) bool { return value == uint64(port) })
}

// Stations lists the forwarding database, ordered by port and MAC.
func (b *Bridge) Stations(now time.Duration) []Station {
	var stations []Station
	b.fdb.each(func(key, value uint64, seen time.Duration) {
		if b.aged(value, seen, now) {
			return
		}
		s := Station{MAC: macFromKey(key), Port: int(uint32(value)), Static: value&staticStation != 0}
		if !s.Static {
			s.Age = since(seen, now)
		}
		stations = append(stations, s)
	})
	slices.SortFunc(stations, func(x, y Station) int {
		if x.Port != y.Port {
			return x.Port - y.Port
		}
		return slices.Compare(x.MAC[:], y.MAC[:])
	})
	return stations
}
