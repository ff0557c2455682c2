package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// install applies the filter to every thread (SECCOMP_FILTER_FLAG_TSYNC, seccomp(2)). A thread that has a different filter cannot
// be synchronised: with TSYNC_ESRCH (Linux 5.7) the call fails with ESRCH, and without it the call returns the ID of that thread.
func install(program []unix.SockFilter) error {
	err := load(program, unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH)
	if err == unix.EINVAL {
		err = load(program, unix.SECCOMP_FILTER_FLAG_TSYNC)
	}
	if err != nil {
		return refused("filter system calls", "Linux 4.14 with seccomp filters (CONFIG_SECCOMP_FILTER)", err)
	}
	return nil
}

// load installs the filter, and returns an error also if a thread could not be synchronised.
func load(program []unix.SockFilter, flags uintptr) error {
	whole := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&whole)))
	switch {
	case err != 0:
		return err
	case thread != 0:
		return fmt.Errorf("thread %d has another seccomp filter", thread)
	}
	return nil
}
