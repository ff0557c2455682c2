package sandbox

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A set has the capabilities of a thread (capget(2)): of version 3, which has 64.
type set [2]unix.CapUserData

// ownSet is that of the calling thread. All threads of the process have the same.
func ownSet() (s set, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	err = unix.Capget(&header, &s[0])
	return s, err
}

// permits tells whether a capability is permitted.
func (s *set) permits(capability uint) bool {
	return s[capability/32].Permitted&(1<<(capability%32)) != 0
}

// give gives the set to all threads. The kernel reads it once for each of them, so it must not move meanwhile, as what is on a
// goroutine's stack may: AllThreadsSyscall keeps where it is what its own arguments point to, and a function between here and
// there would have numbers only.
func (s *set) give() error {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(s)), 0)
	return asError(errno)
}

// prctl sets an attribute of all threads (prctl(2)).
func prctl(option, argument uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, option, argument, 0, 0, 0, 0)
	return asError(errno)
}

func asError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// dropCapabilities empties every set of capabilities, and reports whether that includes the bounding set.
func dropCapabilities() (bounding bool, err error) {
	own, err := ownSet()
	if err != nil {
		return false, refused("read the own capabilities", "capget(2)", err)
	}
	if own.permits(unix.CAP_SETPCAP) {
		if err := dropBounding(&own); err != nil {
			return false, refused("empty the bounding set", "the use of CAP_SETPCAP, which it has", err)
		}
	}
	// Ambient ones go with the others (capabilities(7)): none can be ambient that is not permitted.
	if err := new(set).give(); err != nil {
		return false, refused("drop its capabilities", "capset(2)", err)
	}
	return nextBound(0) < 0, nil
}

// dropBounding takes CAP_SETPCAP into use, which is permitted, and with it empties the bounding set.
func dropBounding(own *set) error {
	own[unix.CAP_SETPCAP/32].Effective |= 1 << (unix.CAP_SETPCAP % 32)
	if err := own.give(); err != nil {
		return err
	}
	for capability := nextBound(0); capability >= 0; capability = nextBound(capability + 1) {
		if err := prctl(unix.PR_CAPBSET_DROP, uintptr(capability)); err != nil {
			return err
		}
	}
	return nil
}

// nextBound returns the first capability of the bounding set that is not below another one, or -1. The kernel knows no
// capability above the first that it does not.
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
