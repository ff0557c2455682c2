package dataplane

import (
	"errors"
	"fmt"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
)

// learned is what another switch goes on with.
func (d *delegation) learned() snapshot {
	now := d.clock()
	lease, gone := d.lessee.learned()
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &addressState{State: d.state.String(), Absent: d.absent, Gone: gone, Delegate: d.delegate.State(now)}
	if d.left != 0 {
		age := now - d.left
		s.Left = &age
	}
	s.take(lease)
	return snapshot{Address: s}
}

// resume goes on with what another switch has learned.
func (d *delegation) resume(s *snapshot) error {
	a := s.Address
	if a == nil || s.Bridge != nil {
		return errors.New("the switch before was no switch between a guest and a pod")
	}
	state, err := parseState(a.State)
	if err != nil {
		return err
	}
	if state == kernel {
		return errors.New("the pod address is the kernel's: want the state of a switch at work")
	}
	if a.Absent && a.Left == nil {
		return errors.New("the guest's device is absent and never went: want the time since then")
	}
	if a.Left != nil && (*a.Left < 0 || *a.Left > maxAge) {
		return fmt.Errorf("the guest's device went %s ago: want 0s to %s", *a.Left, maxAge)
	}
	if a.Delegate.Holder != state.holder().String() {
		return fmt.Errorf("the holder is the %s and the state %s", a.Delegate.Holder, a.State)
	}
	if err := d.delegate.Resume(a.Delegate, d.clock()); err != nil {
		return err
	}
	if err := d.lessee.resume(a); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state, d.absent = state, a.Absent
	if a.Left != nil {
		d.left = d.clock() - *a.Left
		if wait := d.plan.holdAfter - *a.Left; wait > 0 || a.Absent {
			d.hold.Reset(max(0, wait))
		}
	}
	return nil
}

// learned returns the lease, and whether the guest's link went down since.
func (l *lessee) learned() (lease dhcpsrv.Lease, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lease, l.gone
}

// resume goes on with a lease that another switch has given.
func (l *lessee) resume(a *addressState) error {
	if a.Lease == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.gone = a.Gone
		return nil
	}
	mac := a.Lease.MAC
	if mac.IsZero() || mac.IsMulticast() || !l.only.IsZero() && mac != l.only {
		return fmt.Errorf("the lease is of %v, who cannot have one", mac)
	}
	if len(a.Lease.HostName) > maxHostName {
		return fmt.Errorf("the lease has a host name of %d bytes: want at most %d", len(a.Lease.HostName), maxHostName)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lease, l.gone = dhcpsrv.Lease{MAC: dhcpsrv.MAC(mac), HostName: a.Lease.HostName, Expires: a.Lease.Expires}, a.Gone
	return nil
}

// maxAge bounds what a snapshot may say of the past, so that sums of such times do not overflow.
const maxAge = 100 * 365 * 24 * time.Hour

// maxHostName is the longest text of a DHCP option in bytes (RFC 2132, section 2).
const maxHostName = 255

// String is the state's name.
func (s state) String() string { return stateNames[s] }

var stateNames = [numStates]string{"kernel", "waiting", "released", "guest"}

// parseState reads what String wrote.
func parseState(name string) (state, error) {
	for s, n := range stateNames {
		if n == name {
			return state(s), nil
		}
	}
	return kernel, fmt.Errorf("the state %q of the pod address is unknown: want one of %q", name, stateNames)
}
