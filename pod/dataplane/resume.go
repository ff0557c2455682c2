package dataplane

import (
	"errors"
	"fmt"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// snapshot implements mode.
func (d *delegation) snapshot() snapshot {
	a := d.addressState(func() handover.Delegate { return d.delegate.State(d.clock()) })
	d.mu.Lock()
	defer d.mu.Unlock()
	a.Absent = d.absence.isAbsent
	if d.absence.hasBeenAbsent {
		age := d.clock() - d.absence.since
		a.AbsenceAge = &age
	}
	return snapshot{Address: a}
}

// addressState returns the state of all addresses, and of the forwarder at the same time.
func (d *delegation) addressState(forwarder func() handover.Delegate) *addressState {
	leases := make([]familyState, len(d.addresses))
	for i, a := range d.addresses { // before mu, which a lease takes while it has its own lock
		leases[i].Lease, leases[i].OwnerAbsent = a.leases.snapshot()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	state := &addressState{Delegate: forwarder()}
	for i, a := range d.addresses {
		now := leases[i]
		now.State = a.state.String()
		if a.address.Is4() {
			state.familyState = now
		} else {
			state.IPv6 = &now
		}
	}
	return state
}

// of returns the parts of a state that are about an address: its own, and that of the forwarder; nil if there are none.
func (state *addressState) of(a *podAddress) (*familyState, *handover.Family) {
	if a.address.Is4() {
		return &state.familyState, &state.Delegate.Family
	}
	return state.IPv6, state.Delegate.IPv6
}

// resume implements mode. On an error the delegation may have changed, and is closed.
func (d *delegation) resume(snap *snapshot) error {
	state := snap.Address
	if state == nil || snap.Bridge != nil {
		return errors.New("the snapshot is not of a switch between a guest and a pod")
	}
	if err := state.checkAbsence(); err != nil {
		return err
	}
	holders := make([]holderState, len(d.addresses))
	for i, a := range d.addresses {
		own, forwarder := state.of(a)
		holder, err := own.check(forwarder)
		if err != nil {
			return fmt.Errorf("%v: %w", a.address, err)
		}
		holders[i] = own.applyPinnedMAC(forwarder, holder, d.plan.forwarder.PinnedMAC)
		if err := a.leases.resume(own.Lease, own.OwnerAbsent); err != nil {
			return err
		}
	}
	if err := d.delegate.Resume(state.Delegate, d.clock()); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, a := range d.addresses {
		a.state, a.releasedAt = holders[i], d.clock() // a release gets its whole grace again
	}
	d.resumeAbsenceLocked(state)
	return nil
}

func (d *delegation) resumeAbsenceLocked(state *addressState) {
	d.absence.isAbsent = state.Absent
	if state.AbsenceAge != nil {
		d.absence.hasBeenAbsent, d.absence.since = true, d.clock()-*state.AbsenceAge
		if rest := d.plan.holdAfter - *state.AbsenceAge; rest > 0 || state.Absent {
			d.holdTimer.Reset(max(0, rest))
		}
	}
}

// maxAge bounds ages in a snapshot, so that sums of them do not overflow.
const maxAge = 100 * 365 * 24 * time.Hour

// checkAbsence returns an error if no switch can have noted such an absence.
func (state *addressState) checkAbsence() error {
	switch {
	case state.Absent && state.AbsenceAge == nil:
		return errors.New("the guest is absent without absence_age_ns")
	case state.AbsenceAge != nil && (*state.AbsenceAge < 0 || *state.AbsenceAge > maxAge):
		return fmt.Errorf("absence_age_ns %s: want 0s to %s", *state.AbsenceAge, maxAge)
	}
	return nil
}

// check returns the state of the address, or an error if no switch in the work phase can have it.
func (f *familyState) check(forwarder *handover.Family) (holderState, error) {
	if f == nil || forwarder == nil {
		return kernel, errors.New("the snapshot has no state of this address")
	}
	st, err := parseState(f.State)
	switch {
	case err != nil:
		return kernel, err
	case st == kernel:
		return kernel, errors.New("the kernel holds the pod address: want a state of the work phase")
	case forwarder.Holder != st.holder().String():
		return kernel, fmt.Errorf("the holder is the %s in the state %s", forwarder.Holder, f.State)
	}
	return st, nil
}

// snapshot implements lessor.
func (l *leases) snapshot() (lease *leaseState, ownerAbsent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease.MAC != (dhcpsrv.MAC{}) {
		lease = &leaseState{MAC: vswitch.MAC(l.lease.MAC), HostName: l.lease.HostName, Expires: l.lease.Expires}
	}
	return lease, l.ownerAbsent
}

// maxHostName is the largest length of a DHCP option in bytes (RFC 2132, section 2).
const maxHostName = 255

// resume implements lessor.
func (l *leases) resume(lease *leaseState, ownerAbsent bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ownerAbsent = ownerAbsent
	if lease == nil {
		return nil
	}
	if err := l.check(lease); err != nil {
		return err
	}
	l.lease = dhcpsrv.Lease{MAC: dhcpsrv.MAC(lease.MAC), HostName: lease.HostName, Expires: lease.Expires}
	return nil
}

// snapshot implements lessor.
func (l *leasesIPv6) snapshot() (lease *leaseState, ownerAbsent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease.MAC != (dhcpsrv.MAC{}) {
		lease = &leaseState{MAC: vswitch.MAC(l.lease.MAC), HostName: l.lease.HostName, Expires: l.lease.Expires, DUID: l.lease.DUID, IAIDs: l.lease.IAIDs}
	}
	return lease, l.ownerAbsent
}

// resume implements lessor.
func (l *leasesIPv6) resume(lease *leaseState, ownerAbsent bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ownerAbsent = ownerAbsent
	if lease == nil {
		return nil
	}
	if err := l.check(lease); err != nil {
		return err
	}
	l.lease = dhcpsrv.Lease6{MAC: dhcpsrv.MAC(lease.MAC), HostName: lease.HostName, Expires: lease.Expires, DUID: lease.DUID, IAIDs: lease.IAIDs}
	return nil
}

// Bounds of a DHCPv6 client's identifiers: RFC 8415, section 11.1, and the IAs that dhcpsrv remembers.
const (
	maxDUID  = 130
	maxIAIDs = 8
)

// check returns an error if no client can have the lease.
func (o *ownership) check(lease *leaseState) error {
	mac := lease.MAC
	switch {
	case mac.IsZero() || mac.IsMulticast() || !o.pinned.IsZero() && mac != o.pinned:
		return fmt.Errorf("lease of %v: want a MAC that the guest can have", mac)
	case len(lease.HostName) > maxHostName:
		return fmt.Errorf("lease with a host name of %d bytes: want at most %d", len(lease.HostName), maxHostName)
	case len(lease.DUID) > maxDUID || len(lease.IAIDs) > maxIAIDs:
		return fmt.Errorf("lease with a DUID of %d bytes and %d IAIDs: want at most %d and %d", len(lease.DUID), len(lease.IAIDs), maxDUID, maxIAIDs)
	}
	return nil
}
