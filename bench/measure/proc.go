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

// A stat is what /proc/PID/stat tells of a process (proc_pid_stat(5)).
type stat struct {
	state          string // of its first thread: Z has ended, and nobody has waited for it
	parent         int
	group, session int
	ended          float64 // CPU seconds of the children that have ended and were waited for, and of theirs
	born           uint64  // with the number, says which process it is: numbers are given anew
}

// parseStat reads /proc/PID/stat. The name of the program is in brackets and may hold anything, brackets included.
func parseStat(text string) (stat, error) {
	_, rest, found := cutLast(text, ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 {
		return stat{}, fmt.Errorf("stat %q: want a name in brackets and 20 fields or more", text)
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

// parseSize reads a line like VmRSS of /proc/PID/status or Pss of /proc/PID/smaps_rollup and returns MiB.
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
	return 0, fmt.Errorf("no %s: the process has ended, or is the kernel's", name)
}

// processes reads the whole of /proc. A process that ends meanwhile is left out.
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

// family returns the processes that descend from roots, roots included. One whose parent has ended is known by its process
// group or session, which are a root's because start has made them; and so are the descendants of such a one.
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

// cpuOf returns the CPU seconds of a process with all its threads, those that have ended included. The clock counts
// nanoseconds (clock_getcpuclockid(3)); /proc/PID/stat would round to hundredths of a second.
func cpuOf(pid int) (float64, error) {
	const perProcess = 2 // CPUCLOCK_SCHED, without the bit for a thread
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|perProcess, &used); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return float64(used.Nano()) / 1e9, nil
}
