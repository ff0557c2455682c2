package vswitch

import (
	"net/netip"
	"slices"
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
)

// States of a next hop, as `ip neighbour` names them.
const (
	NeighbourPermanent  = "permanent"  // configured
	NeighbourReachable  = "reachable"  // confirmed within the last 30 seconds
	NeighbourStale      = "stale"      // used, and confirmed again with the next frame
	NeighbourIncomplete = "incomplete" // asked for, no answer yet
)

// A NeighbourState is a next hop on the wire as a Delegate has it.
type NeighbourState struct {
	Addr  netip.Addr
	MAC   MAC           // the zero MAC if State is NeighbourIncomplete
	State string        // one of the constants above
	Age   time.Duration // since the last confirmation; 0 if State is NeighbourPermanent or NeighbourIncomplete
}

// Neighbours returns the next hops, in the order of their addresses. For each family
// there are at most NeighbourLimit, and 256 incomplete ones.
func (d *Delegate) Neighbours(now time.Duration) (list []NeighbourState) {
	for _, v := range d.Families() {
		list = append(list, v.neighbours.list(now)...)
	}
	return list
}

func (n *neighbours) list(now time.Duration) (list []NeighbourState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table.Each(func(e lookup.Entry) { list = append(list, n.listed(e, now)) })
	for ip := range n.questions {
		if _, _, _, known := n.table.Find(ip); !known { // otherwise it is being confirmed
			list = append(list, NeighbourState{Addr: ip.Addr(n.isIPv6), State: NeighbourIncomplete})
		}
	}
	slices.SortFunc(list, func(a, b NeighbourState) int { return a.Addr.Compare(b.Addr) })
	return list
}

func (n *neighbours) listed(e lookup.Entry, now time.Duration) NeighbourState {
	value := neighbourValue(e.Value)
	s := NeighbourState{Addr: e.Key.Addr(n.isIPv6), MAC: value.mac(), State: NeighbourPermanent}
	if !value.isPermanent() {
		s.State, s.Age = NeighbourReachable, ageOf(e.Seen, now)
		if s.Age >= neighbourReachable {
			s.State = NeighbourStale
		}
	}
	return s
}

// A neighbourValue is the value of a table entry: the MAC in its low 48 bits, and flags above.
type neighbourValue uint64

const (
	permanentFlag neighbourValue = 1 << 48
	wantedFlag    neighbourValue = 1 << 49
)

func (v neighbourValue) mac() MAC          { return macFromKey(uint64(v)) }
func (v neighbourValue) isPermanent() bool { return v&permanentFlag != 0 }

// isWanted reports whether the switch has resolved the neighbour. Otherwise the neighbour only made itself known.
func (v neighbourValue) isWanted() bool { return v&wantedFlag != 0 }

// newNeighbourValue returns the value of a learned neighbour.
func newNeighbourValue(mac MAC, wanted bool) neighbourValue {
	if wanted {
		return neighbourValue(mac.key()) | wantedFlag
	}
	return neighbourValue(mac.key())
}
