package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// closeInheritedFiles closes the descriptors above stderr that the parent process left open. The program's own descriptors have
// the close-on-exec flag, which tells them apart.
func closeInheritedFiles() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 { // an error: the descriptor that ReadDir has closed
			continue
		}
		if err := unix.Close(fd); err != nil {
			return os.NewSyscallError("close", err)
		}
	}
	return nil
}
