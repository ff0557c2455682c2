package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The processes that one `podswitch run` is made of.

// What they are.
const (
	keeperRole   = "keeper"   // the process that was started: it may change the pod interface
	switchRole   = "switch"   // its child that moves the frames
	watchdogRole = "watchdog" // its child that restores when the keeper cannot
)

// A member is one of them. It is named by a descriptor (pidfd_open(2)), so that no other process is meant when it has ended.
type member struct {
	t     *testing.T
	role  string
	pid   int
	pidfd int
}

// members are the processes of a run that there are now, the keeper first.
func (p *process) members() []*member {
	p.t.Helper()
	var list []*member
	if m := newMember(p.t, keeperRole, p.cmd.Process.Pid); m != nil {
		list = append(list, m)
	}
	for _, pid := range childrenOf(p.cmd.Process.Pid) {
		args := argumentsOf(pid)
		role := ""
		switch {
		case slices.Contains(args, "--keeper"):
			role = switchRole
		case slices.Contains(args, "--when-closed"):
			role = watchdogRole
		default: // not yet, or no more, what it is to be
			continue
		}
		if m := newMember(p.t, role, pid); m != nil {
			list = append(list, m)
		}
	}
	return list
}

// member is the process of a run with a role.
func (p *process) member(role string) *member {
	p.t.Helper()
	for _, m := range p.members() {
		if m.role == role {
			return m
		}
	}
	p.t.Fatalf("%s has no %s", p.name, role)
	return nil
}

// newMember returns nil for a process that has ended.
func newMember(t *testing.T, role string, pid int) *member {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		t.Fatalf("pidfd_open of %d: %v", pid, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return &member{t, role, pid, fd}
}

// signal sends a signal; one who has ended gets none.
func (m *member) signal(s syscall.Signal) {
	m.t.Helper()
	if err := unix.PidfdSendSignal(m.pidfd, s, nil, 0); err != nil && err != unix.ESRCH {
		m.t.Fatalf("signal to the %s: %v", m.role, err)
	}
}

// ended tells whether the process has.
func (m *member) ended() bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(m.pidfd), Events: unix.POLLIN}}, 0)
	return err == nil && n == 1
}

// awaitEnd waits until all of them have ended.
func awaitEnd(t *testing.T, members []*member) {
	t.Helper()
	await(t, "the processes of podswitch to end", func() error {
		for _, m := range members {
			if !m.ended() {
				return fmt.Errorf("the %s goes on", m.role)
			}
		}
		return nil
	})
}

// killAll ends every process of a run at once, so that nobody of it can give anything back, and waits until they have ended.
func (p *process) killAll() {
	p.t.Helper()
	members := p.members()
	for _, role := range []string{watchdogRole, keeperRole, switchRole} { // nobody notices the end of another one who could act on it
		for _, m := range members {
			if m.role == role {
				m.signal(syscall.SIGKILL)
			}
		}
	}
	awaitEnd(p.t, members)
	p.wait()
}

// childrenOf are the children of a process, whichever thread has made them (proc_pid_task(5)).
func childrenOf(pid int) (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file) // a thread that has ended has none
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// argumentsOf are the words of a process's command line; of one that has ended there are none.
func argumentsOf(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.Split(string(text), "\x00")
}
