package dataplane

import (
	"errors"
	"fmt"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/vswitch"
)

// snapshot implements mode.
func (d *delegation) snapshot() snapshot {
	now := d.clock()
	lease, ownerAbsent := d.leases.snapshot()
	d.mu.Lock()
	defer d.mu.Unlock()
	a := &addressState{State: d.state.String(), Absent: d.absence.isAbsent, OwnerAbsent: ownerAbsent, Lease: lease, Delegate: d.delegate.State(now)}
	if d.absence.hasBeenAbsent {
		age := now - d.absence.since
		a.AbsenceAge = &age
	}
	return snapshot{Address: a}
}

// resume implements mode. On an error the delegation may have changed, and is closed.
func (d *delegation) resume(snap *snapshot) error {
	a := snap.Address
	if a == nil || snap.Bridge != nil {
		return errors.New("the snapshot is not of a switch between a guest and a pod")
	}
	state, err := a.check()
	if err != nil {
		return err
	}
	state = a.applyPinnedMAC(state, d.plan.forwarder.PinnedMAC)
	if err := d.delegate.Resume(a.Delegate, d.clock()); err != nil {
		return err
	}
	if err := d.leases.resume(a); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state, d.releasedAt, d.absence.isAbsent = state, d.clock(), a.Absent // a release gets its whole grace again
	if a.AbsenceAge != nil {
		d.absence.hasBeenAbsent, d.absence.since = true, d.clock()-*a.AbsenceAge
		if rest := d.plan.holdAfter - *a.AbsenceAge; rest > 0 || a.Absent {
			d.holdTimer.Reset(max(0, rest))
		}
	}
	return nil
}

// maxAge bounds ages in a snapshot, so that sums of them do not overflow.
const maxAge = 100 * 365 * 24 * time.Hour

// check returns the state of the address, or an error if no switch in the work phase can have a.
func (a *addressState) check() (holderState, error) {
	st, err := parseState(a.State)
	switch {
	case err != nil:
		return kernel, err
	case st == kernel:
		return kernel, errors.New("the kernel holds the pod address: want a state of the work phase")
	case a.Absent && a.AbsenceAge == nil:
		return kernel, errors.New("the guest is absent without absence_age_ns")
	case a.AbsenceAge != nil && (*a.AbsenceAge < 0 || *a.AbsenceAge > maxAge):
		return kernel, fmt.Errorf("absence_age_ns %s: want 0s to %s", *a.AbsenceAge, maxAge)
	case a.Delegate.Holder != st.holder().String():
		return kernel, fmt.Errorf("the holder is the %s in the state %s", a.Delegate.Holder, a.State)
	}
	return st, nil
}

// snapshot returns the lease, or nil, and whether the guest's link went down since it was given.
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

// resume continues with the lease of a snapshot.
func (l *leases) resume(a *addressState) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.Lease == nil {
		l.ownerAbsent = a.OwnerAbsent
		return nil
	}
	mac := a.Lease.MAC
	if mac.IsZero() || mac.IsMulticast() || !l.pinned.IsZero() && mac != l.pinned {
		return fmt.Errorf("lease of %v: want a MAC that the guest can have", mac)
	}
	if len(a.Lease.HostName) > maxHostName {
		return fmt.Errorf("lease with a host name of %d bytes: want at most %d", len(a.Lease.HostName), maxHostName)
	}
	l.lease, l.ownerAbsent = dhcpsrv.Lease{MAC: dhcpsrv.MAC(mac), HostName: a.Lease.HostName, Expires: a.Lease.Expires}, a.OwnerAbsent
	return nil
}
