// Package limits fits the process to what it was given, and lets go of what it needs no more.
package limits

import (
	"errors"
	"fmt"
	"os"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// ratio is the part of the cgroup's memory that Go may use before it collects harder. The rest is for what Go does not count:
// the binary, and the buffers of sockets, which the kernel charges to the cgroup.
const ratio = 0.9

// goLimit is Go's own setting, which has precedence (runtime, "Environment Variables").
const goLimit = "GOMEMLIMIT"

// Memory sets Go's soft memory limit to nine tenths of the limit of the process's cgroup, or of one above it, and returns what it has
// set, in bytes. It sets nothing and returns 0 where no cgroup has a limit, and where GOMEMLIMIT says another one. An error
// says that the limit could not be read, and that nothing was set: it harms nothing, and is worth a line for debugging. AUTOMEMLIMIT
// overrides the ratio, or turns this "off", as its library documents. It reads /proc and /sys: it goes before any sandbox.
func Memory() (int64, error) { return set(memlimit.FromCgroup) }

// set is Memory with the cgroup's limit from provider.
func set(provider memlimit.Provider) (int64, error) {
	if _, said := os.LookupEnv(goLimit); said || os.Getenv("AUTOMEMLIMIT") == "off" {
		return 0, nil
	}
	limit, err := provider()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("memory limit of the cgroup: %w", err)
	case limit == 0:
		return 0, errors.New("memory limit of the cgroup: 0 bytes; want more")
	}
	granted, err := memlimit.Set(memlimit.WithRatio(ratio), memlimit.WithProvider(memlimit.Limit(limit)))
	if err != nil {
		return 0, fmt.Errorf("memory limit of the cgroup: %w", err)
	}
	return granted, nil
}
