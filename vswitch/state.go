package vswitch

import (
	"fmt"
	"net/netip"
	"time"
)

// What a forwarder has learned goes to the process that takes its place as a state: State writes it down, and Resume of a
// forwarder that was built in the same way goes on with it. The clocks of the two differ, so that a state has ages, in
// nanoseconds, and no times. Resume does not trust a state: whoever sends one may have been compromised, and had the same
// descriptors; it shall not get more by this. Whatever Resume refuses, it has changed nothing.

// maxAge bounds what a state may say of the past: sums of such ages and times on a clock do not overflow.
const maxAge = 100 * 365 * 24 * time.Hour

func checkAge(age time.Duration) error {
	if age < 0 || age > maxAge {
		return fmt.Errorf("age_ns %d: want at least 0, and at most %d", int64(age), int64(maxAge))
	}
	return nil
}

// checkFull checks for how long a full table is not to be searched.
func checkFull(left time.Duration) error {
	if left < 0 || left > sweepEvery {
		return fmt.Errorf("full_ns %d: want at least 0, and at most %d", int64(left), int64(sweepEvery))
	}
	return nil
}

// checkStation wants a MAC that one station may have.
func checkStation(mac MAC) error {
	if mac.IsMulticast() || mac.IsZero() {
		return fmt.Errorf("mac %q: want the address of one station", mac)
	}
	return nil
}

// since is the age of what was seen at a time, which another goroutine may have written a moment after now.
func since(seen, now time.Duration) time.Duration { return min(max(now-seen, 0), maxAge) }

// unique checks a list: each of its elements by check, which returns what none of the others may have too.
func unique[E any, K comparable](name string, list []E, check func(e *E) (K, error)) error {
	seen := make(map[K]bool, len(list))
	for i := range list {
		key, err := check(&list[i])
		if err != nil {
			return fmt.Errorf("%s[%d]: %w", name, i, err)
		}
		if seen[key] {
			return fmt.Errorf("%s[%d]: %v stands there twice, want it once", name, i, key)
		}
		seen[key] = true
	}
	return nil
}

func parseHolder(name string) (Holder, error) {
	for h := HolderKernel; h <= HolderGuest; h++ {
		if h.String() == name {
			return h, nil
		}
	}
	return 0, fmt.Errorf("holder %q: want kernel, switch or guest", name)
}

// addrFromKey is the inverse of ipKey.
func addrFromKey(ip uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
}
