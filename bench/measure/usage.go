package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

func (s *session) roots() []int {
	var pids []int
	for _, p := range s.parts {
		pids = append(pids, p.pid())
	}
	return pids
}

// cpu returns the seconds that the candidate's processes have used. What the kernel does for them elsewhere, in interrupts and
// in the processes at the ends, is not among them: the kernel bridge has none.
func (s *session) cpu() (float64, error) {
	all, err := processes()
	if err != nil {
		return 0, err
	}
	var seconds float64
	for _, pid := range tree(all, s.roots()) {
		seconds += all[pid].cpu
	}
	return seconds, nil
}

// memory measures after the loads.
func memory(_ context.Context, s *session) ([]reading, error) {
	if len(s.parts) == 0 {
		return nil, nil // the kernel's is not to be had
	}
	all, err := processes()
	if err != nil {
		return nil, err
	}
	var mib float64
	for _, pid := range tree(all, s.roots()) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return nil, err
		}
		one, err := parseResident(string(status))
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", pid, err)
		}
		mib += one
	}
	return []reading{{figure: resident, value: mib}}, nil
}

const idleTime = 10 * time.Second

func idle(ctx context.Context, s *session) ([]reading, error) {
	if len(s.parts) == 0 {
		return nil, nil
	}
	if err := pause(ctx, time.Second); err != nil { // what the loads have left behind is worked off
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
