package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func (s *session) roots() []int {
	var pids []int
	for _, p := range s.parts {
		pids = append(pids, p.pid())
	}
	return pids
}

// cpu returns the CPU seconds of the candidate's processes, including processes that have ended since the start. It does not include the
// kernel's work in interrupts and in the processes at both ends, so that the kernel bridge has none.
func (s *session) cpu() (float64, error) { return cpu(s.roots()) }

func cpu(roots []int) (float64, error) {
	all, err := processes()
	if err != nil {
		return 0, err
	}
	var seconds float64
	for _, pid := range family(all, roots) {
		one, err := cpuOf(pid)
		switch {
		case errors.Is(err, unix.EINVAL): // the process has ended; the next reading includes it in its parent's time
			continue
		case err != nil:
			return 0, err
		}
		seconds += one + all[pid].ended
	}
	return seconds, nil
}

// memory measures the memory of the candidate after the loads.
func memory(_ context.Context, s *session) ([]reading, error) {
	if len(s.parts) == 0 {
		return nil, nil // the memory of a candidate in the kernel is unknown
	}
	rss, err := occupied(s.roots(), "status", "VmRSS")
	if err != nil {
		return nil, err
	}
	readings := []reading{{figure: resident, value: rss}}
	pss, err := occupied(s.roots(), "smaps_rollup", "Pss")
	if err == nil && pss > 0 { // a kernel may lack smaps_rollup
		readings = append(readings, reading{figure: shared, value: pss})
	}
	return readings, err
}

// occupied returns the sum of a size in a file of each process, in MiB.
func occupied(roots []int, file, name string) (float64, error) {
	all, err := processes()
	if err != nil {
		return 0, err
	}
	var mib float64
	for _, pid := range family(all, roots) {
		if all[pid].state == "Z" { // it has no memory
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) { // the process has ended
			continue
		}
		if err != nil {
			return 0, err
		}
		one, err := parseSize(string(text), name)
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		mib += one
	}
	return mib, nil
}

const idleTime = 10 * time.Second

func idle(ctx context.Context, s *session) ([]reading, error) {
	if len(s.parts) == 0 {
		return nil, nil
	}
	if err := pause(ctx, time.Second); err != nil { // until the work of the loads is finished
		return nil, err
	}
	before, err := s.cpu()
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, idleTime); err != nil {
		return nil, err
	}
	after, err := s.cpu()
	if err != nil {
		return nil, err
	}
	return []reading{{figure: idleCPU, value: 100 * (after - before) / idleTime.Seconds()}}, nil
}
