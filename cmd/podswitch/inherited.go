package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// closeInheritedFiles closes what whoever started this process had open beside the standard files, and has nothing to do with a switch.
// What the program and its runtime open themselves is closed by an exec, and thereby told apart.
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
		if err != nil || flags&unix.FD_CLOEXEC != 0 { // the folder itself is closed by now
			continue
		}
		if err := unix.Close(fd); err != nil {
			return os.NewSyscallError("close", err)
		}
	}
	return nil
}
