package dataplane

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/vswitch"
)

// An offenderKind is a kind of drop that the log names, with the value for which frames were dropped (vswitch.Offender).
type offenderKind struct {
	port    int
	reason  vswitch.Reason
	message string
	value   string    // name of the value in the log
	want    zap.Field // what the value should be; zap.Skip: there is no such thing
}

// bridgeOffenders are the kinds of a learning switch.
func bridgeOffenders(cfg *vswitch.BridgeConfig) []offenderKind {
	return []offenderKind{{cfg.PinnedPort, vswitch.ForeignMAC, "guest's frames dropped: foreign source MAC", "mac", zap.Stringer("guest_mac", cfg.Pinned)}}
}

// delegateOffenders are the kinds of IP mode.
func delegateOffenders(cfg *vswitch.DelegateConfig) []offenderKind {
	address, none := zap.String("pod_address", podAddresses(cfg)), zap.Skip()
	return []offenderKind{
		{vswitch.PortGuest, vswitch.ForeignMAC, "guest's frames dropped: foreign source MAC", "mac", zap.Stringer("guest_mac", cfg.PinnedMAC)},
		{vswitch.PortGuest, vswitch.ForeignSource, "guest's packets dropped: foreign source address", "source", address},
		{vswitch.PortGuest, vswitch.VLAN, "guest's frames dropped: VLAN tag", "vlan", none},
		{vswitch.PortGuest, vswitch.KeptPort, "guest's packets dropped: source port is kept for the pod", "port", none},
		{vswitch.PortGuest, vswitch.Denied, "guest's packets dropped: destination denied", "destination", none},
		{vswitch.PortGuest, vswitch.NoRoute, "guest's packets dropped: no route", "destination", none},
		{vswitch.PortGuest, vswitch.Unresolved, "guest's packets dropped: next hop does not answer", "next_hop", none},
		{vswitch.PortPod, vswitch.Unresolved, "packets of kept ports dropped: next hop does not answer", "next_hop", none},
		{vswitch.PortUplink, vswitch.ForeignARP, "another host uses the pod address", "mac", address},
		{vswitch.PortUplink, vswitch.ForeignND, "another host uses the pod address", "mac", address},
		{vswitch.PortUplink, vswitch.ForeignSource, "packets from the wire dropped: the pod's own address as source", "mac", address},
	}
}

// podAddresses returns the addresses of the pod that move, as text.
func podAddresses(cfg *vswitch.DelegateConfig) string {
	var texts []string
	for _, p := range []netip.Prefix{cfg.Address, cfg.AddressIPv6} {
		if p.IsValid() {
			texts = append(texts, p.Addr().String())
		}
	}
	return strings.Join(texts, ", ")
}

// Bounds of the lines about one kind. The guest and the hosts on the wire choose the values, and can choose a new one for each frame.
const (
	offenderLimit  = 8         // values that are named in offenderPeriod; one further line says that there are more
	offenderPeriod = time.Hour // after which values are named again
	offenderEvents = "further values of this message are not logged"
)

// An offenderLog logs the offenders that the counters of the ports have, each value once in offenderPeriod. Values are numbers that
// vswitch formats: no text of the guest reaches the log.
type offenderLog struct {
	log      *zap.Logger
	list     []offenderKind
	counters []*vswitch.Counters            // by kind; found at the first check, because a port's method may make a system call
	seen     []seenValues[vswitch.Offender] // by kind
}

// seenValues are the values of one message that were logged since a time on the switch's clock.
type seenValues[V comparable] struct {
	since  time.Duration
	values []V
}

// warn logs a message about one value, unless the value was logged before or there were too many.
func (s *seenValues[V]) warn(log *zap.Logger, value V, now time.Duration, message string, fields ...zap.Field) {
	if now-s.since >= offenderPeriod {
		*s = seenValues[V]{since: now}
	}
	if len(s.values) > offenderLimit || slices.Contains(s.values, value) {
		return
	}
	s.values = append(s.values, value)
	if len(s.values) > offenderLimit {
		fields = []zap.Field{zap.String("and", offenderEvents), zap.Duration("for", offenderPeriod-(now-s.since))}
	}
	log.Warn(message, fields...)
}

func newOffenderLog(log *zap.Logger, list []offenderKind) *offenderLog {
	return &offenderLog{log: log, list: list, seen: make([]seenValues[vswitch.Offender], len(list))}
}

// check logs what is new at the ports. It is called once a second.
func (l *offenderLog) check(ports []namedPort, now time.Duration) {
	if l.counters == nil {
		for _, o := range l.list {
			l.counters = append(l.counters, ports[o.port].Counters())
		}
	}
	for i, o := range l.list {
		if by, ok := l.counters[i].TakeOffender(o.reason); ok {
			drops := zap.Uint64("drops", l.counters[i].Drops()[o.reason.String()])
			l.seen[i].warn(l.log, by, now, o.message, zap.Stringer(o.value, by), o.want, zap.Stringer("reason", o.reason), drops)
		}
	}
}
