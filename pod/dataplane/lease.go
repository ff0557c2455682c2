package dataplane

import (
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/vswitch"
)

// leases is the server's side of the guest's lease. It lets dhcpsrv answer the messages, and turns changes of the lease into events of the
// state machine.
type leases struct {
	offer  *dhcpsrv.Offer
	pinned vswitch.MAC // the only MAC that gets a lease; the zero MAC: any
	log    *guestLog
	now    func() time.Time
	apply  func(holderEvent, vswitch.MAC)
	change func() // called when the lease has changed
	prober

	mu          sync.Mutex // guards the following, and the prober
	lease       dhcpsrv.Lease
	ownerAbsent bool // the guest was absent since the lease was given, so that another MAC may get it
	asked       bool // a client has sent a DHCP message
}

func (d *delegation) newLeases() *leases {
	return &leases{
		offer: d.plan.offer, pinned: d.plan.forwarder.PinnedMAC, log: d.guestLog, now: time.Now, apply: d.apply, change: d.noteChange,
		prober: prober{
			clock:   d.clock,
			lastUse: d.delegate.IPv4.LastUseBy,
			send:    func(mac vswitch.MAC) { d.server.Probe(mac, d.plan.forwarder.Address.Addr()) },
		},
	}
}

// handle answers one message, as a stack.DHCPHandler does.
func (l *leases) handle(message []byte) (reply []byte, to netip.AddrPort, mac vswitch.MAC) {
	l.mu.Lock()
	defer l.mu.Unlock()
	owner := vswitch.MAC(l.lease.MAC)
	r := dhcpsrv.Answer(l.offer, dhcpsrv.Query{Message: message, Lease: l.lease, OwnerGone: l.ownerAbsent || l.isUnreachable(owner),
		PinnedMAC: dhcpsrv.MAC(l.pinned), Now: l.now()})
	if r.Held {
		l.probe(owner)
	} else if vswitch.MAC(r.Client) == owner {
		l.hasSent = true
	}
	l.asked = l.asked || r.Received != ""
	if r.Lease != l.lease {
		l.lease = r.Lease
		l.change()
	}
	l.report(r)
	switch r.Change {
	case dhcpsrv.Bound:
		l.ownerAbsent = false
		l.apply(ack, vswitch.MAC(r.Lease.MAC))
	case dhcpsrv.Released:
		l.apply(dhcpRelease, vswitch.MAC{})
	case dhcpsrv.Declined:
		l.apply(dhcpDecline, vswitch.MAC{})
	}
	return r.Reply, r.To, vswitch.MAC(r.ToMAC)
}

// report logs one event for each message, received and sent.
func (l *leases) report(r dhcpsrv.Result) {
	if r.Received == "" {
		return // not a DHCP message
	}
	l.log.event(string(r.Received), zap.Stringer("from", r.Client), zap.String("hostname", r.HostName))
	switch {
	case r.Sent == "":
		l.log.event("no answer", zap.String("why", r.Reason))
	case r.Reason != "":
		l.log.event(string(r.Sent), zap.Stringer("to", r.Client), zap.String("why", r.Reason))
	default:
		l.log.event(string(r.Sent), zap.Stringer("to", r.Client), zap.Stringer("address", l.offer.Address))
	}
}

// noteAbsence makes the lease available to any MAC: the next guest may be a different one.
func (l *leases) noteAbsence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ownerAbsent = true
}

// expire ends a lease that has expired.
func (l *leases) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease.MAC != (dhcpsrv.MAC{}) && !l.now().Before(l.lease.Expires) {
		l.lease = dhcpsrv.Lease{}
		l.apply(expire, vswitch.MAC{})
	}
}

// wasAsked reports whether a client has sent a DHCP message.
func (l *leases) wasAsked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// current returns the lease; it is not ok if there is none.
func (l *leases) current() (lease dhcpsrv.Lease, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lease, l.lease.MAC != dhcpsrv.MAC{}
}
