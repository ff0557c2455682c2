package vswitch

import "time"

// heardEvery is how often it is noted that the guest goes on to use the pod address.
const heardEvery = 100 * time.Millisecond

// Hand makes h the holder. A MAC other than zero is where the guest's frames go from now on.
func (d *Delegate) Hand(h Holder, mac MAC) {
	d.using.Lock()
	if !mac.IsZero() && d.guestMAC.Load() != mac.key() {
		d.heard.Store(0) // of somebody else; hear says why this comes first
		d.guestMAC.Store(mac.key())
	}
	d.using.Unlock()
	d.holder.Store(int32(h))
}

// Heard returns when mac last used the pod address at the guest port, on the switch's clock; zero if it is not in use by mac.
// What was heard before a Resume may have a negative time.
func (d *Delegate) Heard(mac MAC) time.Duration {
	d.using.Lock()
	defer d.using.Unlock()
	if d.guestMAC.Load() != mac.key() {
		return 0
	}
	return time.Duration(d.heard.Load())
}

// LastHeard returns when anybody last used the pod address at the guest port, on the switch's clock; zero for never. What was
// heard before a Resume may have a negative time.
func (d *Delegate) LastHeard() time.Duration { return time.Duration(d.heard.Load()) }

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
		d.heard.Store(int64(now))
		d.guestMAC.Store(mac.key())
	}
}

// isNoted tells whether the last use was noted so lately that it need not be noted again.
func (d *Delegate) isNoted(now time.Duration) bool {
	last := time.Duration(d.heard.Load())
	return last != 0 && now-last < heardEvery
}
