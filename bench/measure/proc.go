package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ticksPerSecond is USER_HZ, which is 100 on every architecture that podswitch is built for (proc_pid_stat(5), time(7)).
const ticksPerSecond = 100

// A stat is what /proc/PID/stat tells of a process.
type stat struct {
	parent int
	cpu    float64 // seconds, user and system
}

// parseStat reads /proc/PID/stat. The name of the program is in brackets and may hold anything, brackets included.
func parseStat(text string) (stat, error) {
	_, rest, found := cutLast(text, ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 13 {
		return stat{}, fmt.Errorf("stat %q: want a name in brackets and 13 fields or more", text)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return stat{}, fmt.Errorf("stat %q: parent: %w", text, err)
	}
	user, err := strconv.ParseUint(fields[11], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("stat %q: utime: %w", text, err)
	}
	system, err := strconv.ParseUint(fields[12], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("stat %q: stime: %w", text, err)
	}
	return stat{parent: parent, cpu: float64(user+system) / ticksPerSecond}, nil
}

func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

// parseResident reads VmRSS of /proc/PID/status and returns MiB.
func parseResident(status string) (float64, error) {
	for line := range strings.Lines(status) {
		value, found := strings.CutPrefix(line, "VmRSS:")
		if !found {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		if err != nil {
			return 0, fmt.Errorf("status: VmRSS %q: want a number of kB", strings.TrimSpace(value))
		}
		return kib / 1024, nil
	}
	return 0, fmt.Errorf("status has no VmRSS: the process has ended, or is the kernel's")
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
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if all[pid], err = parseStat(string(text)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// tree returns the processes that descend from roots, roots included.
func tree(all map[int]stat, roots []int) []int {
	var found []int
	for pid := range all {
		for at := pid; at != 0; at = all[at].parent {
			if slices.Contains(roots, at) {
				found = append(found, pid)
				break
			}
		}
	}
	return found
}
