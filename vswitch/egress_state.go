package vswitch

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
)

// protocolNames are the protocols of flows as a state has them.
var protocolNames = map[string]uint8{"tcp": packet.ProtocolTCP, "udp": packet.ProtocolUDP}

// state returns the flows that have not ended. It may be called for nil.
func (e *egress) state(now time.Duration) (flows []handover.Flow) {
	if e == nil {
		return nil
	}
	for name, protocol := range protocolNames {
		e.flowTable(protocol).Each(func(f lookup.Entry) {
			if now-f.Seen < packet.FlowIdle(protocol, f.Value == flowClosed) {
				flows = append(flows, handover.Flow{Protocol: name, Port: uint16(f.Key.Hi >> 16), Host: f.Key.Addr(false),
					HostPort: uint16(f.Key.Hi), Age: ageOf(f.Seen, now), Closed: f.Value == flowClosed})
			}
		})
	}
	slices.SortFunc(flows, func(a, b handover.Flow) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), a.Host.Compare(b.Host), cmp.Compare(a.Port, b.Port), cmp.Compare(a.HostPort, b.HostPort))
	})
	return flows
}

// check checks that the flows could have been noted.
func (e *egress) check(flows []handover.Flow) error {
	if len(flows) > 0 && e == nil || len(flows) > 2*flowLimit {
		return fmt.Errorf("flows: %d, want at most %d, and none without an egress port", len(flows), 2*flowLimit)
	}
	for i, f := range flows {
		switch {
		case protocolNames[f.Protocol] == 0:
			return fmt.Errorf("flows[%d].protocol %q: want tcp or udp", i, f.Protocol)
		case !f.Host.Is4() || f.Host.IsUnspecified():
			return fmt.Errorf("flows[%d].host %q: want an IPv4 address", i, f.Host)
		}
		if err := checkAge(f.Age); err != nil {
			return fmt.Errorf("flows[%d].%w", i, err)
		}
	}
	return nil
}

// resume adds the flows of another forwarder, which check has accepted. Those that do not fit are lost.
func (e *egress) resume(flows []handover.Flow, now time.Duration) {
	for _, f := range flows {
		seen, value := now-f.Age, uint64(0)
		if f.Closed {
			value = flowClosed
		}
		e.flowTable(protocolNames[f.Protocol]).Set(lookup.Entry{Key: flowKey(f.Port, lookup.KeyOf(f.Host), f.HostPort), Value: value, Seen: seen, Probed: seen})
	}
}
