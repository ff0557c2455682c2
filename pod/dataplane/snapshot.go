package dataplane

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/unixport"
	"github.com/podswitch/podswitch/vswitch"
)

// A snapshot is everything that one switch has learned, for another one that goes on in its place.
type snapshot struct {
	Address *addressState          `json:"address,omitempty"`
	Bridge  *vswitch.BridgeState   `json:"bridge,omitempty"`
	Ports   []portState            `json:"ports"`
	files   []int                  // descriptors of connections; they belong to the ports
	owners  []int                  // and the ports that they belong to
	rests   map[int]*unixport.Rest // of the ports by their number, with descriptors
}

// An addressState is what is known of the pod address and the guest.
type addressState struct {
	State    string                `json:"state"` // of the holder's state machine
	Absent   bool                  `json:"absent,omitempty"`
	Left     *time.Duration        `json:"left_age_ns,omitempty"` // since the guest's device went; absent: it never did
	Lease    *leaseState           `json:"lease,omitempty"`
	Gone     bool                  `json:"gone,omitempty"` // the guest's link went down since the lease was given
	Delegate vswitch.DelegateState `json:"delegate"`
}

// A leaseState is the guest's lease.
type leaseState struct {
	MAC      vswitch.MAC `json:"mac"`
	HostName string      `json:"hostname,omitempty"`
	Expires  time.Time   `json:"expires"`
}

// A portState is what one port has counted, and has in hand.
type portState struct {
	Counters vswitch.CountersState `json:"counters"`
	Rest     *unixport.Rest        `json:"rest,omitempty"`
}

// restOf returns what the port with this number is to go on with.
func (s *snapshot) restOf(port int) unixport.Rest {
	if s == nil || s.rests[port] == nil {
		return unixport.Rest{}
	}
	return *s.rests[port]
}

// takePorts adds what the ports have counted and have in hand.
func (s *snapshot) takePorts(ports []namedPort) {
	for i, p := range ports {
		var state portState
		if rest, ok := unixport.RestOf(p.Port); ok { // first: it may complete a frame, which counts
			state.Rest = &rest
			for _, fd := range []int{rest.Connection, rest.Next} {
				if fd != 0 {
					s.files, s.owners = append(s.files, fd), append(s.owners, i)
				}
			}
		}
		state.Counters = p.Counters().State()
		s.Ports = append(s.Ports, state)
	}
}

// resumePorts lets the ports go on counting.
func (s *snapshot) resumePorts(ports []namedPort) error {
	if len(s.Ports) != len(ports) {
		return fmt.Errorf("the switch before had %d ports, this one has %d", len(s.Ports), len(ports))
	}
	for i, p := range ports {
		if err := p.Counters().Resume(s.Ports[i].Counters); err != nil {
			return fmt.Errorf("counters of %s: %w", p.name, err)
		}
	}
	return nil
}

// readSnapshot reads what another switch has learned. It is not trusted: that one has read more of the guest than this one. The
// descriptors are of ports with numbers below limit, at most two each; on an error they stay the caller's.
func readSnapshot(g *grant.Go, files []int, limit int) (*snapshot, error) {
	decoder := json.NewDecoder(bytes.NewReader(g.Snapshot))
	decoder.DisallowUnknownFields()
	s := &snapshot{rests: map[int]*unixport.Rest{}}
	if err := decoder.Decode(s); err != nil {
		return nil, fmt.Errorf("what the switch before has learned: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("what the switch before has learned: want one object, and nothing behind it")
	}
	for i := range s.Ports {
		if s.Ports[i].Rest != nil && i >= limit {
			return nil, fmt.Errorf("what the switch before has in hand: port %d is none of the %d that can have something", i, limit)
		}
		if s.Ports[i].Rest != nil {
			s.rests[i] = s.Ports[i].Rest
		}
	}
	if len(g.Connections) != len(files) {
		return nil, fmt.Errorf("what the switch before has in hand: %d connections and %d descriptors", len(g.Connections), len(files))
	}
	for i, port := range g.Connections {
		rest := s.rests[port]
		switch {
		case rest == nil || port >= limit:
			return nil, fmt.Errorf("what the switch before has in hand: a connection of port %d, which has none", port)
		case rest.Connection == 0:
			rest.Connection = files[i]
		case rest.Next == 0:
			rest.Next = files[i]
		default:
			return nil, fmt.Errorf("what the switch before has in hand: three connections of port %d", port)
		}
	}
	return s, nil
}

// take notes the lease.
func (s *addressState) take(l dhcpsrv.Lease) {
	if l.MAC != (dhcpsrv.MAC{}) {
		s.Lease = &leaseState{MAC: vswitch.MAC(l.MAC), HostName: l.HostName, Expires: l.Expires}
	}
}
