package dataplane

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/unixport"
	"github.com/podswitch/podswitch/vswitch"
)

// A snapshot is the state that one switch passes to the next. Exactly one of Address and Bridge is set. Descriptors travel beside it:
// those of connections to hypervisors, at most two for each port.
type snapshot struct {
	Address *addressState    `json:"address,omitempty"`
	Bridge  *handover.Bridge `json:"bridge,omitempty"`
	Ports   []portState      `json:"ports"` // in the forwarder's order

	files   []int                    // when written: descriptors, which belong to the ports
	owners  []int                    // when written: the port of each descriptor
	pending map[int]*handover.Socket // when read: by port, with descriptors
}

// An addressState is the state of a delegation.
type addressState struct {
	familyState                   // of IPv4; the zero value: the pod has no IPv4 address
	IPv6        *familyState      `json:"ipv6,omitempty"`           // nil: the pod has no IPv6 address
	Absent      bool              `json:"absent,omitempty"`         // the guest's device is absent
	AbsenceAge  *time.Duration    `json:"absence_age_ns,omitempty"` // since the guest's device disappeared; absent: it never did
	Delegate    handover.Delegate `json:"delegate"`
}

// A familyState is the state of the pod address of one family.
type familyState struct {
	State       string      `json:"state"` // a holderState
	Lease       *leaseState `json:"lease,omitempty"`
	OwnerAbsent bool        `json:"owner_absent,omitempty"` // the guest was absent since the lease was given, so that another MAC may get it
}

// A leaseState is the guest's lease.
type leaseState struct {
	MAC      vswitch.MAC `json:"mac"`
	HostName string      `json:"hostname,omitempty"`
	Expires  time.Time   `json:"expires"`
	DUID     []byte      `json:"duid,omitempty"`  // of IPv6: dhcpsrv.Lease6
	IAIDs    []uint32    `json:"iaids,omitempty"` // of IPv6
}

// A portState is what one port has counted, and the bytes of its stream that are not a whole frame yet.
type portState struct {
	Counters handover.Counters `json:"counters"`
	Pending  *handover.Socket  `json:"pending,omitempty"`
}

// pendingOf returns what the port continues with: nothing for a nil snapshot.
func (snap *snapshot) pendingOf(port int) handover.Socket {
	if snap == nil || snap.pending[port] == nil {
		return handover.Socket{}
	}
	return *snap.pending[port]
}

// addPorts adds the state of ports that receive no longer.
func (snap *snapshot) addPorts(ports []namedPort) {
	for i, p := range ports {
		var state portState
		if pending, ok := unixport.StateOf(p.Port); ok { // before the counters: it may complete a frame, which counts
			state.Pending = &pending
			for _, fd := range []int{pending.Connection, pending.Next} {
				if fd != 0 {
					snap.files, snap.owners = append(snap.files, fd), append(snap.owners, i)
				}
			}
		}
		state.Counters = p.Counters().State()
		snap.Ports = append(snap.Ports, state)
	}
}

// resumeCounters sets the counters of the ports.
func (snap *snapshot) resumeCounters(ports []namedPort) error {
	if len(snap.Ports) != len(ports) {
		return fmt.Errorf("snapshot of %d ports: want %d", len(snap.Ports), len(ports))
	}
	for i, p := range ports {
		if err := p.Counters().Resume(snap.Ports[i].Counters); err != nil {
			return fmt.Errorf("counters of %s: %w", p.name, err)
		}
	}
	return nil
}

// readSnapshot reads the snapshot of another switch, which is not trusted. The first devices ports may have pending state and descriptors; on
// an error the descriptors stay the caller's.
func readSnapshot(g *grant.Begin, files []int, devices int) (*snapshot, error) {
	decoder := json.NewDecoder(bytes.NewReader(g.Snapshot))
	decoder.DisallowUnknownFields()
	snap := &snapshot{pending: map[int]*handover.Socket{}}
	if err := decoder.Decode(snap); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("snapshot: want one object, with nothing after it")
	}
	for i := range snap.Ports {
		if snap.Ports[i].Pending == nil {
			continue
		}
		if i >= devices {
			return nil, fmt.Errorf("snapshot: port %d has pending state: want it only of the first %d", i, devices)
		}
		snap.pending[i] = snap.Ports[i].Pending
	}
	return snap, snap.assign(files, g.Connections)
}

// assign gives each descriptor to the pending state of its owner.
func (snap *snapshot) assign(files, owners []int) error {
	if len(owners) != len(files) {
		return fmt.Errorf("snapshot: %d connections and %d descriptors: want as many", len(owners), len(files))
	}
	for i, port := range owners {
		pending := snap.pending[port]
		switch {
		case pending == nil:
			return fmt.Errorf("snapshot: a connection of port %d, which has no pending state", port)
		case pending.Connection == 0:
			pending.Connection = files[i]
		case pending.Next == 0:
			pending.Next = files[i]
		default:
			return fmt.Errorf("snapshot: three connections of port %d: want at most two", port)
		}
	}
	return nil
}
