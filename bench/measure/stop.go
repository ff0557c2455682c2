package main

import (
	"syscall"
	"time"
)

// stop asks the process to end and gives it and its family a few seconds.
func (p *process) stop() { p.end(3 * time.Second) }

// end asks the process to end. Who of its family is there after some time is killed.
func (p *process) end(patience time.Duration) {
	// Who has made a session of its own is known by its parent alone, and by nobody once that has ended.
	kin := p.living(nil)
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails where it has ended
	kin = p.outlast(kin, 0, patience)
	p.outlast(kin, syscall.SIGKILL, time.Second)
	<-p.done
}

// outlast waits until nobody is left of the family and of kin, and no longer than some time. It returns who is left. Whoever is
// there gets the signal again and again: one that dies later than its child may have made another. 0 is no signal (kill(2)).
func (p *process) outlast(kin map[int]stat, signal syscall.Signal, patience time.Duration) map[int]stat {
	deadline := time.After(patience)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for kin = p.living(kin); len(kin) > 0; kin = p.living(kin) {
		for pid := range kin {
			_ = syscall.Kill(pid, signal) // fails where it has ended meanwhile
		}
		select {
		case <-again.C:
		case <-deadline:
			return kin
		}
	}
	return kin
}

// living returns those of the process, its family and some others that have not ended. Where /proc cannot be read it returns
// the process alone.
func (p *process) living(others map[int]stat) map[int]stat {
	all, err := processes()
	if err != nil {
		return map[int]stat{p.pid(): {}}
	}
	found := map[int]stat{}
	if root, there := all[p.pid()]; !there || root.born == p.born { // else its number is another one's by now
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
