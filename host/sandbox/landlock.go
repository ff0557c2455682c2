package sandbox

import (
	"errors"

	"github.com/landlock-lsm/go-landlock/landlock"
	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// newestABI is the newest version that the library speaks.
const newestABI = 11

// Versions of landlock's ABI, and the erratum, that make a difference here (landlock(7)).
const (
	scopedABI           = 6      // signals and abstract unix sockets
	erratumThreadSignal = 1 << 1 // before it was mended, a signal of one thread to another of the same process was refused
)

// restrictAccess handles every right that the kernel knows and grants none. It returns the ABI version that is used.
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
		return 0, refused("restrict itself", "landlock, which the kernel has", err)
	}
	return abi, err
}

// usableABI is the version that the library will use, too: without the mended signals it stays below those.
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
