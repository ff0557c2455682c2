package vswitch

import (
	"fmt"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/internal/lookup"
)

// Takeover: State writes down what a forwarder has learned, and Resume of a forwarder with the same configuration in another
// process continues from there. The two clocks differ, so that a state contains ages instead of times.
//
// Resume does not trust a state: its sender has processed guest input for a long time and may be compromised. A state must not give
// it more than it already had through its descriptors. Resume checks everything before it changes anything.

// maxAge bounds the ages of a state, so that sums of ages and times cannot overflow.
const maxAge = 100 * 365 * 24 * time.Hour

func checkAge(age time.Duration) error {
	if age < 0 || age > maxAge {
		return fmt.Errorf("age_ns %d: want at least 0, and at most %d", int64(age), int64(maxAge))
	}
	return nil
}

func checkNextSweep(left time.Duration) error {
	if left < 0 || left > lookup.SweepInterval {
		return fmt.Errorf("next_sweep_ns %d: want at least 0, and at most %d", int64(left), int64(lookup.SweepInterval))
	}
	return nil
}

func checkStationMAC(mac handover.MAC) error {
	if !MAC(mac).isStation() {
		return fmt.Errorf("mac %q: want the address of one station", mac)
	}
	return nil
}

// ageOf returns how long ago seen was. Another goroutine may have written seen after now was read, so that the result is bounded
// below by 0.
func ageOf(seen, now time.Duration) time.Duration { return min(max(now-seen, 0), maxAge) }

// checkList calls check for each element of a list. It returns an error if check does, or if two elements have the same key.
func checkList[E any, K comparable](name string, list []E, check func(e *E) (K, error)) error {
	seen := make(map[K]bool, len(list))
	for i := range list {
		key, err := check(&list[i])
		if err != nil {
			return fmt.Errorf("%s[%d]: %w", name, i, err)
		}
		if seen[key] {
			return fmt.Errorf("%s[%d]: duplicate %v", name, i, key)
		}
		seen[key] = true
	}
	return nil
}

func familyName(isIPv6 bool) string {
	if isIPv6 {
		return "IPv6"
	}
	return "IPv4"
}

func parseHolder(name string) (Holder, error) {
	for h := HolderKernel; h <= HolderGuest; h++ {
		if h.String() == name {
			return h, nil
		}
	}
	return 0, fmt.Errorf("holder %q: want kernel, switch or guest", name)
}
