package dataplane

import (
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/vswitch"
)

// Probing of a lease's MAC when another one asks for the address.
const (
	probeWait  = time.Second      // an answer takes no longer
	probeCount = 2                // one may come while the guest is just putting its address on
	probeValid = 30 * time.Second // after this time, the silence has to be shown again
)

// A lessee keeps the guest's lease: it asks dhcpsrv what to answer, and tells the holder's state machine what that means.
type lessee struct {
	offer *dhcpsrv.Offer
	only  vswitch.MAC // the only MAC that gets a lease; the zero MAC: any
	log   *guestLog
	clock func() time.Duration // the switch's
	now   func() time.Time     // the wall's
	heard func(vswitch.MAC) (at time.Duration, ok bool)
	probe func(vswitch.MAC)
	apply func(event, vswitch.MAC)

	mu      sync.Mutex // guards the following
	lease   dhcpsrv.Lease
	gone    bool          // the guest's link went down since the lease was given
	probed  vswitch.MAC   // who is being probed
	probes  int           // how often it was
	firstAt time.Duration // since when
	probeAt time.Duration // and when last
	spokeAt time.Duration // when the owner of the lease last sent a DHCP message
}

// handle answers one message; it is what stack.ServeDHCP calls.
func (l *lessee) handle(message []byte) (reply []byte, to netip.AddrPort, mac vswitch.MAC) {
	l.mu.Lock()
	defer l.mu.Unlock()
	owner := vswitch.MAC(l.lease.MAC)
	r := dhcpsrv.Answer(l.offer, dhcpsrv.Query{Message: message, Lease: l.lease, Silent: l.silent(owner),
		Only: dhcpsrv.MAC(l.only), Now: l.now()})
	if r.Held {
		l.probeLocked(owner)
	} else if vswitch.MAC(r.Client) == owner {
		l.spokeAt = l.clock()
	}
	l.lease = r.Lease
	l.report(r)
	switch r.Change {
	case dhcpsrv.Bound:
		l.gone = false
		l.apply(ack, vswitch.MAC(r.Lease.MAC))
	case dhcpsrv.Released:
		l.apply(release, vswitch.MAC{})
	case dhcpsrv.Declined:
		l.apply(decline, vswitch.MAC{})
	}
	return r.Reply, r.To, vswitch.MAC(r.ToMAC)
}

// silent tells whether the owner of the lease has gone: its link went down, or it was probed in vain and said nothing else.
func (l *lessee) silent(owner vswitch.MAC) bool {
	if l.gone {
		return true
	}
	since := l.clock() - l.probeAt
	return l.probed == owner && l.probes >= probeCount && since >= probeWait && since < probeValid &&
		!l.answered(owner)
}

// probeLocked asks the owner of the lease whether it is still there; the one who wants its address will ask again.
func (l *lessee) probeLocked(owner vswitch.MAC) {
	now := l.clock()
	if l.probed == owner && now-l.probeAt < probeWait {
		return // the answer may be on its way
	}
	if l.probed != owner || l.answered(owner) || now-l.probeAt >= probeValid {
		l.probed, l.probes, l.firstAt = owner, 0, now
	}
	l.probes++
	l.probeAt = now
	l.probe(owner)
}

// answered reports whether the owner of the lease has used the address or sent a DHCP message since the first probe.
func (l *lessee) answered(owner vswitch.MAC) bool {
	used, ok := l.heard(owner)
	return ok && used >= l.firstAt || l.spokeAt >= l.firstAt
}

// report logs one line for each message, received and sent.
func (l *lessee) report(r dhcpsrv.Result) {
	if r.Received == "" {
		return // no DHCP message
	}
	l.log.event(string(r.Received), zap.Stringer("from", r.Client), zap.String("hostname", r.HostName))
	switch {
	case r.Sent == "":
		l.log.event("no answer", zap.String("why", r.Why))
	case r.Why != "":
		l.log.event(string(r.Sent), zap.Stringer("to", r.Client), zap.String("why", r.Why))
	default:
		l.log.event(string(r.Sent), zap.Stringer("to", r.Client), zap.Stringer("address", l.offer.Address))
	}
}

// linkDown notes that whoever comes next may be somebody else.
func (l *lessee) linkDown() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
}

// expire ends the lease when its time has come.
func (l *lessee) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease.MAC != (dhcpsrv.MAC{}) && !l.now().Before(l.lease.Expires) {
		l.lease = dhcpsrv.Lease{}
		l.apply(expire, vswitch.MAC{})
	}
}

// current returns the lease; ok is false if nobody has one.
func (l *lessee) current() (lease dhcpsrv.Lease, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lease, l.lease.MAC != dhcpsrv.MAC{}
}
