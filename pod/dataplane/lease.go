package dataplane

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/vswitch"
)

// leases is the server's side of the guest's lease of IPv4. It lets dhcpsrv answer the messages, and turns changes of the lease into events
// of the state machine.
type leases struct {
	ownership
	offer *dhcpsrv.Offer
	lease dhcpsrv.Lease // guarded by ownership.mu
}

// An ownership says which MAC may get the lease of an address.
type ownership struct {
	pinned vswitch.MAC // the only MAC that gets a lease; the zero MAC: any
	log    *guestLog
	now    func() time.Time
	apply  func(holderEvent, vswitch.MAC)
	change func() // called when the lease has changed
	prober

	mu          sync.Mutex // guards the following, and the prober
	ownerAbsent bool       // the guest was absent since the lease was given, so that another MAC may get it
	asked       bool       // a client has sent a message
}

// handle answers one message, as a stack.DHCPHandler does.
func (l *leases) handle(message []byte) (reply []byte, to netip.AddrPort, mac vswitch.MAC) {
	l.mu.Lock()
	defer l.mu.Unlock()
	owner := vswitch.MAC(l.lease.MAC)
	r := dhcpsrv.Answer(l.offer, dhcpsrv.Query{Message: message, Lease: l.lease, OwnerGone: l.ownerAbsent || l.isUnreachable(owner),
		PinnedMAC: dhcpsrv.MAC(l.pinned), Now: l.now()})
	changed := r.Lease != l.lease
	l.lease = r.Lease
	l.conclude(owner, dhcpOutcome{received: r.Received, sent: r.Sent, client: r.Client, hostName: r.HostName, reason: r.Reason, held: r.Held,
		isLeaseChanged: changed, change: r.Change, owner: r.Lease.MAC}, l.offer.Address)
	return r.Reply, r.To, vswitch.MAC(r.ToMAC)
}

// A dhcpOutcome is a message, its answer, and what they have changed.
type dhcpOutcome struct {
	received, sent dhcpsrv.MessageType
	client         dhcpsrv.MAC
	hostName       string
	reason         string
	held           bool // the lease is kept from the client
	isLeaseChanged bool
	change         dhcpsrv.Change
	owner          dhcpsrv.MAC // of the lease from now on
}

// conclude does what follows from a message: it probes the owner of a lease that another MAC asks for, or notes that the owner is there; it
// logs, and passes a change of the lease on. owner has the lease before the message. The caller holds mu.
func (o *ownership) conclude(owner vswitch.MAC, e dhcpOutcome, address fmt.Stringer) {
	if e.held {
		o.probe(owner)
	} else if vswitch.MAC(e.client) == owner {
		o.hasSent = true
	}
	o.asked = o.asked || e.received != ""
	if e.isLeaseChanged {
		o.change()
	}
	o.report(&e, address)
	o.changeHolder(e.change, vswitch.MAC(e.owner))
}

// changeHolder turns a change of the lease into an event. The caller holds mu.
func (o *ownership) changeHolder(change dhcpsrv.Change, owner vswitch.MAC) {
	switch change {
	case dhcpsrv.Bound:
		o.ownerAbsent = false
		o.apply(ack, owner)
	case dhcpsrv.Released:
		o.apply(dhcpRelease, vswitch.MAC{})
	case dhcpsrv.Declined:
		o.apply(dhcpDecline, vswitch.MAC{})
	}
}

// report logs one event for each message, received and sent.
func (o *ownership) report(e *dhcpOutcome, address fmt.Stringer) {
	if e.received == "" {
		return // not a DHCP message
	}
	o.log.event(string(e.received), zap.Stringer("from", e.client), zap.String("hostname", e.hostName))
	switch {
	case e.sent == "":
		o.log.event("no answer", zap.String("why", e.reason))
	case e.reason != "":
		o.log.event(string(e.sent), zap.Stringer("to", e.client), zap.String("why", e.reason))
	default:
		o.log.event(string(e.sent), zap.Stringer("to", e.client), zap.Stringer("address", address))
	}
}

// noteAbsence implements lessor.
func (o *ownership) noteAbsence() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ownerAbsent = true
}

// wasAsked implements lessor.
func (o *ownership) wasAsked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

// expire implements lessor.
func (l *leases) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease.MAC != (dhcpsrv.MAC{}) && !l.now().Before(l.lease.Expires) {
		l.lease = dhcpsrv.Lease{}
		l.apply(expire, vswitch.MAC{})
	}
}
