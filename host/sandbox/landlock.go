package sandbox

import (
	"errors"

	"github.com/landlock-lsm/go-landlock/landlock"
	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// newestABI is the newest ABI version that the library supports.
const newestABI = 11

// The ABI version and the erratum of landlock on which usableABI depends (landlock(7)).
const (
	scopedABI           = 6      // restricts signals and abstract unix sockets
	erratumThreadSignal = 1 << 1 // set if the kernel has the fix; without it, signals between threads of one process are refused
)

// restrictAccess takes away every access right that the kernel's landlock handles, with the exception of the policy. It returns the ABI
// version in use; 0 if the kernel has no landlock.
func restrictAccess(p Policy) (int, error) {
	abi := usableABI()
	if abi == 0 {
		return 0, nil
	}
	rules := landlock.V11
	if p.Datagrams {
		rules.HandledAccessFS &^= landlocksys.AccessFSResolveUnix
	}
	err := rules.BestEffort().Restrict()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		return 0, refused("restrict itself", "permission to use landlock", err)
	}
	return abi, err
}

// usableABI returns the ABI version that the library uses. Without the fix of the erratum it is below scopedABI, because the Go runtime
// sends signals between threads. 0 means that the kernel has no landlock.
func usableABI() int {
	abi, err := landlocksys.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	if abi < scopedABI {
		return abi
	}
	if errata, err := landlocksys.LandlockGetErrata(); err != nil || errata&erratumThreadSignal == 0 {
		return scopedABI - 1
	}
	return min(abi, newestABI)
}
