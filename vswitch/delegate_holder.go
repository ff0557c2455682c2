package vswitch

import "time"

// A Holder is the party that answers for the pod address. The zero value is HolderKernel.
type Holder int32

// The holders.
const (
	HolderKernel Holder = iota // the pod's kernel, as the network plugin configured it
	HolderSwitch               // the pod endpoint
	HolderGuest                // the guest; the pod endpoint still answers ARP and kept ports
)

// String returns kernel, switch or guest.
func (h Holder) String() string { return [...]string{"kernel", "switch", "guest"}[h] }

// useInterval is the least time between two records of the guest's use of the pod address, unless the exact time matters.
const useInterval = 100 * time.Millisecond

// SetHolder makes h the holder of the pod address. If mac is not zero, it becomes the destination of frames to the guest.
func (v *Family) SetHolder(h Holder, mac MAC) {
	v.using.Lock()
	if !mac.IsZero() && v.guestMAC.Load() != mac.key() {
		v.lastUse.clear() // before guestMAC is written: recordUse depends on the order
		v.guestMAC.Store(mac.key())
	}
	v.using.Unlock()
	v.holder.Store(int32(h))
}

// ExpectGuest sets whether a guest may still use the pod address although the switch is the holder. While it may, nothing is refused: a
// refusal would end its connections.
func (v *Family) ExpectGuest(isExpected bool) { v.isExpected.Store(isExpected) }

// LastUseBy returns when mac last used the pod address at the guest port, on the switch's clock. It reports false if mac never did,
// or another MAC has used the address since. A time from before a takeover may be negative.
func (v *Family) LastUseBy(mac MAC) (at time.Duration, ok bool) {
	v.using.Lock()
	defer v.using.Unlock()
	if v.guestMAC.Load() != mac.key() {
		return 0, false
	}
	return v.lastUse.load()
}

// LastUse returns when any MAC last used the pod address at the guest port, on the switch's clock. It reports false if none has. A time
// from before a takeover may be negative.
func (v *Family) LastUse() (at time.Duration, ok bool) { return v.lastUse.load() }

// notifyUse calls OnUse if the guest is not the holder.
func (v *Family) notifyUse() {
	if !v.isHeldBy(HolderGuest) && v.cfg.OnUse != nil {
		v.cfg.OnUse(v)
	}
}

// A virtual router's MAC (RFC 9568, section 7.3) is used by several hosts in turn. A router in the guest sends its advertisements from it, with
// the pod address as the source, and receives its other packets at its own MAC (use_vmac of keepalived).
func isVirtualRouter(mac MAC) bool {
	return mac[0] == 0 && mac[1] == 0 && mac[2] == 0x5e && mac[3] == 0 && (mac[4] == 1 || mac[4] == 2)
}

// use records that mac uses the pod address at the guest port while the guest is not the holder, or may not be, and then calls OnUse.
func (v *Family) use(mac MAC, now time.Duration, exact bool) {
	if v.recordUse(mac, now, exact) {
		v.notifyUse()
	}
}

// becomesHolder is use, and reports whether OnUse has made the guest the holder: the packet then passes.
func (v *Family) becomesHolder(mac MAC, now time.Duration) bool {
	v.use(mac, now, false)
	return v.isHeldBy(HolderGuest)
}

// recordUse records that mac uses the pod address at the guest port. Without exact it writes at most once in useInterval, and
// otherwise takes no lock. It reports false, and records nothing, for a virtual router's MAC, unless SetHolder has made it the guest's.
func (v *Family) recordUse(mac MAC, now time.Duration, exact bool) bool {
	// The MAC is read before the time: SetHolder clears the time before it writes the MAC, so that a reader that finds its own MAC never
	// sees the time of another one.
	if !exact && v.guestMAC.Load() == mac.key() && v.isUseRecent(now) {
		return true
	}
	v.using.Lock()
	defer v.using.Unlock()
	if isVirtualRouter(mac) && v.guestMAC.Load() != mac.key() {
		return false
	}
	if exact || v.guestMAC.Load() != mac.key() || !v.isUseRecent(now) {
		v.lastUse.store(now)
		v.guestMAC.Store(mac.key())
	}
	return true
}

func (v *Family) isUseRecent(now time.Duration) bool {
	last, ok := v.lastUse.load()
	return ok && now-last < useInterval
}
