package vswitch

import "time"

// heardEvery is how often it is noted that the guest goes on to use the pod address.
const heardEvery = 100 * time.Millisecond

// Hand makes h the holder. A MAC other than zero is where the guest's frames go from now on.
func (d *Delegate) Hand(h Holder, mac MAC) {
	d.using.Lock()
	if !mac.IsZero() && d.guestMAC.Load() != mac.key() {
		d.heard.clear() // of another station; hear says why this comes first
		d.guestMAC.Store(mac.key())
	}
	d.using.Unlock()
	d.holder.Store(int32(h))
}

// Heard returns when mac last used the pod address at the guest port, on the switch's clock. It is not ok if mac is not the station
// that uses the address. A use before a Resume may have a negative time.
func (d *Delegate) Heard(mac MAC) (at time.Duration, ok bool) {
	d.using.Lock()
	defer d.using.Unlock()
	if d.guestMAC.Load() != mac.key() {
		return 0, false
	}
	return d.heard.load()
}

// LastHeard returns when any station last used the pod address at the guest port, on the switch's clock. It is not ok if none
// has. A use before a Resume may have a negative time.
func (d *Delegate) LastHeard() (at time.Duration, ok bool) { return d.heard.load() }

// use notes that the guest uses the pod address, and says so if it is not the holder.
func (d *Delegate) use(mac MAC, now time.Duration, exact bool) {
	d.hear(mac, now, exact)
	if !d.held(HolderGuest) && d.cfg.OnUse != nil {
		d.cfg.OnUse()
	}
}

// hear notes who uses the pod address. It writes only what changed, and the time, unless that has to be exact, at most once in
// a tenth of a second; otherwise it takes no lock.
func (d *Delegate) hear(mac MAC, now time.Duration, exact bool) {
	// In this order: Hand forgets the time before it writes the MAC, so that who finds its own MAC finds nobody else's time.
	if !exact && d.guestMAC.Load() == mac.key() && d.isNoted(now) {
		return
	}
	d.using.Lock()
	defer d.using.Unlock()
	if exact || d.guestMAC.Load() != mac.key() || !d.isNoted(now) {
		d.heard.store(now)
		d.guestMAC.Store(mac.key())
	}
}

// isNoted tells whether the last use was noted so lately that it need not be noted again.
func (d *Delegate) isNoted(now time.Duration) bool {
	last, ok := d.heard.load()
	return ok && now-last < heardEvery
}
