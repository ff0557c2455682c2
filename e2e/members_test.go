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

// Roles of the processes of one `podswitch run`.
const (
	keeperRole   = "keeper"   // the process that the test has started; it may change the pod interface
	switchRole   = "switch"   // child of the keeper; it forwards frames
	watchdogRole = "watchdog" // child of the keeper; it restores the pod interface when the keeper is killed
)

// A member is a process of a run. Its pidfd (pidfd_open(2)) never refers to another process, even when the process id is reused.
type member struct {
	t     *testing.T
	role  string
	pid   int
	pidfd int
}

// members returns the present processes of a run, the keeper first.
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
		default: // before its execve(2), or after its end
			continue
		}
		if m := newMember(p.t, role, pid); m != nil {
			list = append(list, m)
		}
	}
	return list
}

// member returns the process of a run with a role.
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

// signal sends a signal, unless the process has ended.
func (m *member) signal(s syscall.Signal) {
	m.t.Helper()
	if err := unix.PidfdSendSignal(m.pidfd, s, nil, 0); err != nil && err != unix.ESRCH {
		m.t.Fatalf("signal to the %s: %v", m.role, err)
	}
}

// ended reports whether the process has ended.
func (m *member) ended() bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(m.pidfd), Events: unix.POLLIN}}, 0)
	return err == nil && n == 1
}

// awaitEnd waits until all members have ended.
func awaitEnd(t *testing.T, members []*member) {
	t.Helper()
	await(t, "the processes of podswitch to end", func() error {
		for _, m := range members {
			if !m.ended() {
				return fmt.Errorf("the %s is still running", m.role)
			}
		}
		return nil
	})
}

// killAll kills every process of a run before one of them can give anything back, and waits until they have ended.
func (p *process) killAll() {
	p.t.Helper()
	members := p.members()
	members[0].signal(syscall.SIGSTOP)                                    // the keeper starts no replacement
	for _, role := range []string{watchdogRole, keeperRole, switchRole} { // in this order: a process that could react to the end of another one is killed before it
		for _, m := range members {
			if m.role == role {
				m.signal(syscall.SIGKILL)
			}
		}
	}
	awaitEnd(p.t, members)
	p.wait()
}

// childrenOf returns the children of all threads of a process (proc_pid_task(5)).
func childrenOf(pid int) (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file) // fails if the thread has ended
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// argumentsOf returns the command line of a process, or nothing if it has ended.
func argumentsOf(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.Split(string(text), "\x00")
}
