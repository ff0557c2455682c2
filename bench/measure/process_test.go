package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// work is a shell command that uses CPU time.
const work = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"

// launched starts a shell script, waits until it prints "ready", and kills it at the end of the test.
func launched(t *testing.T, script string) *process {
	t.Helper()
	p, err := start("", "^ready$", "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(0) })
	if err := p.awaitReady(); err != nil {
		t.Fatalf("%v: %s", err, p.text())
	}
	return p
}

// TestCandidateOfSeveral measures candidates with several processes, in all relations between them.
func TestCandidateOfSeveral(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		want   int  // number of running processes
		works  bool // a descendant, which may have ended, has used CPU time
	}{
		"alone":                  {script: "echo ready; exec sleep 60", want: 1},
		"a child":                {script: "(" + work + "; echo ready; exec sleep 60) & exec sleep 60", want: 2, works: true},
		"a child's child":        {script: "(sh -c '(" + work + "; echo ready; exec sleep 60) & exec sleep 60') & exec sleep 60", want: 3, works: true},
		"a child without parent": {script: "sh -c '(" + work + "; echo ready; exec sleep 60) &'; exec sleep 60", want: 2, works: true},
		"a child in a session":   {script: "setsid sh -c '" + work + "; echo ready; exec sleep 60' & exec sleep 60", want: 2, works: true},
		"a child that has ended": {script: "sh -c '" + work + "'; echo ready; exec sleep 60", want: 1, works: true},
		"a child without a wait": {script: "(" + work + ") & (until grep -q '^State:.Z' /proc/$!/status; do :; done; echo ready; exec sleep 60) & exec sleep 60",
			want: 2, works: true},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			p := launched(t, test.script)
			kin := asleep(t, p)
			if len(kin) != test.want {
				t.Errorf("%d processes, want %d: %v", len(kin), test.want, kin)
			}
			own, err := cpuOf(p.pid())
			if err != nil {
				t.Fatal(err)
			}
			all, err := cpu([]int{p.pid()})
			if err != nil || (all > 1.5*own+0.01) != test.works {
				t.Errorf("%.4f s of all, %.4f of the first process, %v", all, own, err)
			}
			checkMemory(t, p, len(kin))
		})
	}
}

// asleep waits until all running processes have executed sleep, and returns them: a shell prints ready before it executes sleep.
func asleep(t *testing.T, p *process) (kin map[int]stat) {
	t.Helper()
	err := await(t.Context(), "sleep", func() error {
		kin = p.living(nil)
		for pid := range kin {
			name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			if err != nil || string(name) != "sleep\n" || kin[pid].state != "S" {
				return fmt.Errorf("process %d is %q, %q, %v", pid, name, kin[pid].state, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return kin
}

// checkMemory compares the sum of the sizes with the size of the first process: all run the same program and have similar sizes.
func checkMemory(t *testing.T, p *process, processes int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		t.Fatal(err)
	}
	own, err := parseSize(string(text), "VmRSS")
	if err != nil {
		t.Fatal(err)
	}
	rss, err := occupied([]int{p.pid()}, "status", "VmRSS")
	if low, high := own*(1+0.3*float64(processes-1)), own*(1+3*float64(processes-1)); err != nil || rss < low || rss > high {
		t.Errorf("%.2f MiB of %d processes, %v; want %.2f to %.2f", rss, processes, err, low, high)
	}
	pss, err := occupied([]int{p.pid()}, "smaps_rollup", "Pss")
	if err != nil || pss >= rss {
		t.Errorf("%.2f MiB with shared pages divided, %v; want less than %.2f", pss, err, rss)
	}
	if none, err := occupied([]int{p.pid()}, "nothing", "Pss"); err != nil || none != 0 {
		t.Errorf("%.2f MiB, %v of a file that the kernel does not have", none, err)
	}
}

func TestStopEndsTheFamily(t *testing.T) {
	for name, script := range map[string]string{
		"the child goes at a signal to its parent": "sleep 60 & trap 'kill $!; exit' TERM; echo ready; wait",
		"the child stays, without parent":          "(sleep 60 &); echo ready; exec sleep 60",
		"the child stays, in a session":            "setsid sleep 60 & trap exit TERM; echo ready; wait",
		"the parent stays":                         "trap '' TERM; echo ready; while :; do sleep 60; done",
		"it has ended":                             "(sleep 60 &); echo ready",
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			p := launched(t, script)
			before := p.living(nil)
			p.end(300 * time.Millisecond)
			if left := p.living(before); len(left) > 0 {
				t.Errorf("of %v there is left %v", before, left)
			}
		})
	}
}

// TestReadyOfAChild checks that the marker is recognised in the output of every process, and that no other line is.
func TestReadyOfAChild(t *testing.T) {
	for script, ready := range map[string]bool{
		"echo '16:46:51.157  info  ready' >&2; exec sleep 60":                    true,
		"(echo '16:46:51.157  info  ready  {\"ports\": 4}' >&2); exec sleep 60":  true,
		"setsid sh -c 'echo \"16:46:51.157  info  ready\" >&2'; exec sleep 60":   true,
		"printf '16:46:51.157  inf'; printf 'o  ready\n'; exec sleep 60":         true,
		"echo '16:46:51.157  info  already'":                                     false,
		"echo '16:46:51.157  info  not ready'":                                   false,
		"echo '16:46:51.157  warn  found  {\"why\": \"16:46:51  info  ready\"}'": false,
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			p, err := start("", saysReady, "sh", "-c", script)
			if err != nil {
				t.Fatal(err)
			}
			defer p.end(0)
			if err := p.awaitReady(); (err == nil) != ready {
				t.Errorf("%s: %v, want ready: %t", script, err, ready)
			}
			if took := p.at.Sub(p.started); ready && (took <= 0 || took > 15*time.Second) {
				t.Errorf("%s: ready after %s", script, took)
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	for name, attempt := range map[string]func() (*process, error){
		"no such program":   func() (*process, error) { return start("", "", "/nonexistent") },
		"no such namespace": func() (*process, error) { return start("pswb-nonexistent", "", "true") },
		"a wrong marker":    func() (*process, error) { return start("", "(", "true") },
	} {
		if p, err := attempt(); err == nil {
			p.stop()
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAliveSaysHowItEnded(t *testing.T) {
	p, err := start("", "never", "sh", "-c", "exit 3")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.awaitReady(); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v, want the exit status", err)
	}
	if err := errors.Join(p.alive()); err == nil {
		t.Error("it is still alive")
	}
	p.stop()
}
