package sandbox

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A set has the capability sets of a thread (capget(2)), in version 3 with 64 capabilities.
type set [2]unix.CapUserData

// ownSet returns the capabilities of the calling thread, which are the same for all threads of the process.
func ownSet() (s set, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	err = unix.Capget(&header, &s[0])
	return s, err
}

// permits reports whether a capability is in the permitted set.
func (s *set) permits(capability uint) bool {
	return s[capability/32].Permitted&(1<<(capability%32)) != 0
}

// apply sets the capabilities of all threads. The kernel reads the set once for each thread, so it must not move during the call, as memory
// of a goroutine's stack may. AllThreadsSyscall keeps the memory that its uintptr arguments are converted from in place; the conversions
// must therefore stand in its argument list, and not in a function between.
func (s *set) apply() error {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(s)), 0)
	return asError(errno)
}

// prctl calls prctl(2) in all threads.
func prctl(option, argument uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, option, argument, 0, 0, 0, 0)
	return asError(errno)
}

// asError returns nil for errno 0.
func asError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// dropCapabilities empties the effective, permitted, inheritable and ambient sets of all threads. It also empties the bounding set if the
// process has CAP_SETPCAP, and reports whether the bounding set is empty.
func dropCapabilities() (bounding bool, err error) {
	own, err := ownSet()
	if err != nil {
		return false, refused("read the own capabilities", "capget(2)", err)
	}
	if own.permits(unix.CAP_SETPCAP) {
		if err := dropBounding(&own); err != nil {
			return false, refused("empty the bounding set", "the use of CAP_SETPCAP, which the process has", err)
		}
	}
	// This also clears the ambient set: an ambient capability must be permitted (capabilities(7)).
	if err := new(set).apply(); err != nil {
		return false, refused("drop its capabilities", "capset(2)", err)
	}
	return nextBound(0) < 0, nil
}

// dropBounding makes CAP_SETPCAP, which is permitted, effective, and empties the bounding set.
func dropBounding(own *set) error {
	own[unix.CAP_SETPCAP/32].Effective |= 1 << (unix.CAP_SETPCAP % 32)
	if err := own.apply(); err != nil {
		return err
	}
	for capability := nextBound(0); capability >= 0; capability = nextBound(capability + 1) {
		if err := prctl(unix.PR_CAPBSET_DROP, uintptr(capability)); err != nil {
			return err
		}
	}
	return nil
}

// nextBound returns the lowest capability of the bounding set that is at least the given one, or -1. PR_CAPBSET_READ fails for the first
// number above the kernel's last capability.
func nextBound(capability int) int {
	for ; ; capability++ {
		bound, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(capability), 0, 0, 0)
		switch {
		case err != nil:
			return -1
		case bound == 1:
			return capability
		}
	}
}
