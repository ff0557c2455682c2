package dataplane

import (
	"net/netip"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/vswitch"
)

// leasesIPv6 is the server's side of the guest's lease of IPv6, like leases.
type leasesIPv6 struct {
	ownership
	offer *dhcpsrv.Offer6
	lease dhcpsrv.Lease6 // guarded by ownership.mu
}

// handle answers one message, as a stack.DHCPv6Handler does.
func (l *leasesIPv6) handle(message []byte, from, to netip.Addr, mac vswitch.MAC) (reply []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	owner := vswitch.MAC(l.lease.MAC)
	r := dhcpsrv.Answer6(l.offer, dhcpsrv.Query6{Message: message, MAC: dhcpsrv.MAC(mac), From: from, To: to, Lease: l.lease,
		OwnerGone: l.ownerAbsent || l.isUnreachable(owner), PinnedMAC: dhcpsrv.MAC(l.pinned), Now: l.now()})
	changed := !r.Lease.Equal(l.lease)
	l.lease = r.Lease
	l.conclude(owner, dhcpOutcome{received: r.Received, sent: r.Sent, client: r.Client, hostName: r.HostName, reason: r.Reason, held: r.Held,
		isLeaseChanged: changed, change: r.Change, owner: r.Lease.MAC}, l.offer.Address)
	return r.Reply
}

// expire implements lessor.
func (l *leasesIPv6) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease.MAC != (dhcpsrv.MAC{}) && !l.now().Before(l.lease.Expires) {
		l.lease = dhcpsrv.Lease6{}
		l.apply(expire, vswitch.MAC{})
	}
}
