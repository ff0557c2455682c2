package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is USER_HZ, which is 100 on every architecture that podswitch is built for (proc_pid_stat(5), time(7)).
const ticksPerSecond = 100

// A stat has fields of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	state          string // of its first thread; Z: it has ended, and its parent has not waited for it
	parent         int
	group, session int
	ended          float64 // CPU seconds of descendants that have ended and were waited for
	born           uint64  // start time; identifies the process together with its id, which may be reused
}

// parseStat parses /proc/PID/stat. The name of the program is in parentheses and may contain any character, including parentheses.
func parseStat(text string) (stat, error) {
	_, rest, found := cutLast(text, ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 {
		return stat{}, fmt.Errorf("stat %q: want a name in parentheses and at least 20 fields", text)
	}
	s := stat{state: fields[0]}
	var user, system uint64
	for at, to := range map[int]any{1: &s.parent, 2: &s.group, 3: &s.session, 13: &user, 14: &system, 19: &s.born} {
		if _, err := fmt.Sscanf(fields[at], "%d", to); err != nil {
			return stat{}, fmt.Errorf("stat %q: field %d is %q, want a number", text, at+3, fields[at])
		}
	}
	s.ended = float64(user+system) / ticksPerSecond
	return s, nil
}

func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

// parseSize returns a size in MiB, such as VmRSS of /proc/PID/status or Pss of /proc/PID/smaps_rollup.
func parseSize(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		value, found := strings.CutPrefix(line, name+":")
		if !found {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		if err != nil {
			return 0, fmt.Errorf("%s is %q: want a number of kB", name, strings.TrimSpace(value))
		}
		return kib / 1024, nil
	}
	return 0, fmt.Errorf("no %s: the process has ended, or is a kernel thread", name)
}

// processes returns all processes. It omits a process that ends before it is read.
func processes() (map[int]stat, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := make(map[int]stat, len(paths))
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		one, err := statOf(pid)
		switch {
		case errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH):
			continue
		case err != nil:
			return nil, err
		}
		all[pid] = one
	}
	return all, nil
}

func statOf(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(text))
}

// family returns roots and their descendants. A process whose parent has ended is found by its process group or session, which start
// makes for a root; so are its own descendants.
func family(all map[int]stat, roots []int) []int {
	member := func(pid int) bool {
		return slices.Contains(roots, pid) || slices.Contains(roots, all[pid].group) || slices.Contains(roots, all[pid].session)
	}
	var found []int
	for pid := range all {
		for at := pid; at != 0; at = all[at].parent {
			if member(at) {
				found = append(found, pid)
				break
			}
		}
	}
	return found
}

// cpuOf returns the CPU seconds of all threads of a process, including threads that have ended. The process's CPU clock has a resolution
// of nanoseconds (clock_getcpuclockid(3)); /proc/PID/stat has one of 10 ms.
func cpuOf(pid int) (float64, error) {
	const perProcess = 2 // CPUCLOCK_SCHED without CPUCLOCK_PERTHREAD_MASK
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|perProcess, &used); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return float64(used.Nano()) / 1e9, nil
}
