package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// install puts the filter on every thread. With TSYNC_ESRCH (Linux 5.7) a thread that cannot take it is an error, without it the
// number of that thread; only one that has a filter of its own already cannot (seccomp(2)).
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

func load(program []unix.SockFilter, flags uintptr) error {
	whole := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&whole)))
	switch {
	case err != 0:
		return err
	case thread != 0:
		return fmt.Errorf("the thread %d has a filter of its own", thread)
	}
	return nil
}
