// Package limits keeps the process within the memory of its container: it sets Go's memory limit from the cgroup's, and returns the
// program's pages to the kernel after the start.
//
//	limit, err := limits.Memory()         // 0: none was set
//	program, err := limits.FindProgram()  // both read /proc or /sys: before the sandbox
//	…
//	err = program.Release()               // when the process only waits for events
package limits

import (
	"errors"
	"fmt"
	"os"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// ratio is the part of the cgroup's limit that becomes Go's limit. The rest is for memory that Go does not count: the binary, and the
// socket buffers that the kernel charges to the cgroup.
const ratio = 0.9

// goLimit is the environment variable of Go's own limit, which has precedence (package runtime, "Environment Variables").
const goLimit = "GOMEMLIMIT"

// Memory sets Go's soft memory limit to nine tenths of the limit of the process's cgroup, or of a cgroup above it, and returns the value
// that it has set, in bytes. It sets nothing and returns 0 if no cgroup has a limit or if GOMEMLIMIT is set. The environment variable
// AUTOMEMLIMIT changes the ratio or disables Memory ("off"), as package memlimit documents.
//
// An error means that the cgroup's limit could not be read and nothing was set. The process works without it, so log the error at debug
// level. Memory reads /proc and /sys: call it before the sandbox.
func Memory() (int64, error) { return set(memlimit.FromCgroup) }

// set is Memory with the limit that provider returns.
func set(provider memlimit.Provider) (int64, error) {
	if _, isSet := os.LookupEnv(goLimit); isSet || os.Getenv("AUTOMEMLIMIT") == "off" {
		return 0, nil
	}
	limit, err := provider()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("memory limit of the cgroup: %w", err)
	case limit == 0:
		return 0, errors.New("memory limit of the cgroup: 0 bytes; want at least 1")
	}
	granted, err := memlimit.Set(memlimit.WithRatio(ratio), memlimit.WithProvider(memlimit.Limit(limit)))
	if err != nil {
		return 0, fmt.Errorf("memory limit of the cgroup: %w", err)
	}
	return granted, nil
}
