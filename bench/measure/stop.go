package main

import (
	"syscall"
	"time"
)

// stop ends the process and its family, with a timeout of a few seconds.
func (p *process) stop() { p.end(3 * time.Second) }

// end sends SIGTERM to the process, and kills it and its family after a timeout.
func (p *process) end(timeout time.Duration) {
	// A process with its own session is found by its parent only, and no longer after the end of that.
	kin := p.living(nil)
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended
	kin = p.outlast(kin, 0, timeout)
	p.outlast(kin, syscall.SIGKILL, time.Second)
	<-p.done
}

// outlast waits until the family and kin have ended, or for a timeout, and returns the remaining processes. It sends the signal to them
// repeatedly, because a process may have started another child since the last list. Signal 0 only checks that a process exists (kill(2)).
func (p *process) outlast(kin map[int]stat, signal syscall.Signal, timeout time.Duration) map[int]stat {
	deadline := time.After(timeout)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for kin = p.living(kin); len(kin) > 0; kin = p.living(kin) {
		for pid := range kin {
			_ = syscall.Kill(pid, signal) // fails if it has ended since
		}
		select {
		case <-again.C:
		case <-deadline:
			return kin
		}
	}
	return kin
}

// living returns the running processes of the process, its family and others. If /proc cannot be read it returns the process alone.
func (p *process) living(others map[int]stat) map[int]stat {
	all, err := processes()
	if err != nil {
		return map[int]stat{p.pid(): {}}
	}
	found := map[int]stat{}
	if root, there := all[p.pid()]; !there || root.born == p.born { // otherwise another process has its id now
		for _, pid := range family(all, []int{p.pid()}) {
			found[pid] = all[pid]
		}
	}
	for pid, was := range others {
		if all[pid].born == was.born {
			found[pid] = all[pid]
		}
	}
	for pid, s := range found {
		if s.state == "Z" {
			delete(found, pid)
		}
	}
	return found
}
