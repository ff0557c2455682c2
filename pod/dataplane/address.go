package dataplane

import (
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/vswitch"
)

// A podAddress is the pod address of one family: who holds it (holder.go), and the guest's lease of it.
type podAddress struct {
	delegation *delegation
	address    netip.Addr
	family     *vswitch.Family
	leases     lessor

	// Guarded by delegation.mu:
	state      holderState
	releasedAt time.Duration // when the state released began, on the switch's clock
	heldSince  time.Duration // when the switch became the holder, on its clock
}

// A lessor serves the guest's lease of one address: leases, or leasesIPv6.
type lessor interface {
	noteAbsence()   // the lease is available to any MAC: the next guest may be a different one
	expire()        // ends a lease that has expired
	wasAsked() bool // a client has sent a message
	snapshot() (lease *leaseState, ownerAbsent bool)
	resume(lease *leaseState, ownerAbsent bool) error
}

// newAddresses returns the pod addresses of the forwarder, with their leases: IPv4 first.
func (d *delegation) newAddresses() (list []*podAddress) {
	f := &d.plan.forwarder
	if d.delegate.IPv4 != nil {
		a := &podAddress{delegation: d, address: f.Address.Addr(), family: d.delegate.IPv4}
		d.leases = &leases{ownership: a.newOwnership(), offer: d.plan.offer}
		a.leases = d.leases
		list = append(list, a)
	}
	if d.delegate.IPv6 != nil {
		a := &podAddress{delegation: d, address: f.AddressIPv6.Addr(), family: d.delegate.IPv6}
		d.leasesIPv6 = &leasesIPv6{ownership: a.newOwnership(), offer: d.plan.offerIPv6}
		a.leases = d.leasesIPv6
		list = append(list, a)
	}
	return list
}

func (a *podAddress) newOwnership() ownership {
	d := a.delegation
	return ownership{
		pinned: d.plan.forwarder.PinnedMAC, log: d.guestLog, now: time.Now, apply: a.apply, change: d.noteChange,
		prober: prober{clock: d.clock, lastUse: a.family.LastUseBy, send: func(mac vswitch.MAC) { d.server.Probe(mac, a.address) }},
	}
}

// apply changes the state by an event, and the forwarder with it. A MAC other than zero is the guest's from now on. A use does not
// count while the guest is absent: the frame was sent before.
func (a *podAddress) apply(e holderEvent, mac vswitch.MAC) {
	d := a.delegation
	d.mu.Lock()
	from := a.state
	if !(e == use && d.absence.isAbsent) {
		a.state = from.next(e)
	}
	to := a.state
	if from != to && to == released {
		a.releasedAt = d.clock()
	}
	if from.holder() != vswitch.HolderSwitch && to.holder() == vswitch.HolderSwitch {
		a.heldSince = d.clock()
		a.family.ExpectGuest(true)
	}
	a.family.SetHolder(to.holder(), mac)
	d.mu.Unlock()
	if to != from {
		d.noteChange()
	}
	if to.holder() == from.holder() {
		return
	}
	write := d.guestLog.event
	if e == taken || e == stop {
		write = d.log.Info
	}
	write("holder", zap.Stringer("of", a.address), zap.Stringer("from", from.holder()), zap.Stringer("to", to.holder()), zap.Stringer("because", e))
}

// tick does what is due once a second.
func (a *podAddress) tick() {
	a.leases.expire()
	a.endGrace()
	a.refuse()
	a.probeForGuest()
}

// applyAll applies an event that is common to all addresses.
func (d *delegation) applyAll(e holderEvent) {
	for _, a := range d.addresses {
		a.apply(e, vswitch.MAC{})
	}
}

// applyUse applies the use of an address by the guest that was not its holder. The forwarder calls it, and the packet passes if the guest
// is the holder then.
func (d *delegation) applyUse(family *vswitch.Family) {
	for _, a := range d.addresses {
		if a.family == family {
			a.apply(use, vswitch.MAC{})
		}
	}
}

// holder returns the holder of the address.
func (a *podAddress) holder() vswitch.Holder {
	a.delegation.mu.Lock()
	defer a.delegation.mu.Unlock()
	return a.state.holder()
}

// hasGuest reports whether the guest holds all addresses.
func (d *delegation) hasGuest() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !slices.ContainsFunc(d.addresses, func(a *podAddress) bool { return a.state.holder() != vswitch.HolderGuest })
}
