package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestConfined checks that no thread of the switch has a privilege, and that the switch has only the descriptors that it needs.
// Descriptors that podswitch inherits reach neither the first switch nor one that takes over.
func TestConfined(t *testing.T) {
	l := newLab(t)
	secret := write(t, filepath.Join(t.TempDir(), "secret"), "of the parent process\n", 0o600)
	p := startWith(t, exec.Command("ip", l.pod.in(program, "run", "--state-dir", l.stateDir)...), openAll(t, secret, secret))
	p.awaitText("ready")
	l.leased()
	first := p.member(switchRole)
	l.expectConfined(first.pid, first.pid)
	next := startWith(t, exec.Command("ip", l.pod.in(program, "run", "--takeover", "--state-dir", l.stateDir)...), openAll(t, secret, secret))
	next.awaitText("ready")
	awaitEnd(t, []*member{first})
	l.expectConfined(next.cmd.Process.Pid, next.cmd.Process.Pid)
	p.stop()
}

// openAll opens files for reading and writing.
func openAll(t *testing.T, names ...string) (files []*os.File) {
	t.Helper()
	for _, name := range names {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// expectConfined checks the threads and the descriptors of a switch process. own is its process id in its own process namespace.
func (l *lab) expectConfined(pid, own int) {
	l.t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) < 2 {
		l.t.Fatalf("process %d has the threads %v: %v", pid, threads, err)
	}
	for _, thread := range threads {
		status := readStatus(l.t, thread)
		for name, want := range map[string]string{
			"CapInh": noCapability, "CapPrm": noCapability, "CapEff": noCapability, "CapBnd": noCapability, "CapAmb": noCapability,
			"NoNewPrivs": "1", "Seccomp": "2",
		} {
			if status[name] != want {
				l.t.Errorf("%s: %s is %q, want %q", thread, name, status[name], want)
			}
		}
	}
	want := map[string]int{"standard": 3, "tap": 1, "packet socket": 1, "control socket": 1, "session": 1, "poller": 1, "device counters": 1}
	got := l.descriptors(pid)
	got["control socket"] = min(got["control socket"], 1) // net.FileListener duplicates it
	delete(got, "eventfd")                                // the runtime's poller and the waiting ports have one each
	delete(got, "cpu limit")                              // open only where the cgroup has a limit
	if !maps.Equal(got, want) {
		l.t.Errorf("the switch has the descriptors %v, want %v and eventfds", got, want)
	}
	if s := l.status(); !strings.Contains(s.Sandbox, "landlock ") || !strings.Contains(s.Sandbox, "system calls") || s.SwitchPID != own {
		l.t.Errorf("status of process %d has the sandbox %q and the switch process %d, want %d", pid, s.Sandbox, s.SwitchPID, own)
	}
}

const noCapability = "0000000000000000"

// readStatus reads the fields of a thread's status (proc_pid_status(5)).
func readStatus(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// descriptors counts the open descriptors of a process in the pod by type.
func (l *lab) descriptors(pid int) map[string]int {
	l.t.Helper()
	sockets := socketsOf(l.t, pid)
	count := map[string]int{}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range entries {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		switch {
		case slices.Contains([]string{"0", "1", "2"}, e.Name()):
			link = "standard"
		case link == "/dev/net/tun":
			link = "tap"
		case link == "anon_inode:[eventfd]":
			link = "eventfd"
		case link == "anon_inode:[eventpoll]":
			link = "poller"
		case strings.HasPrefix(link, "/proc/") && strings.HasSuffix(link, "/net/dev"):
			link = "device counters"
		case strings.HasSuffix(link, "/cpu.max"):
			link = "cpu limit"
		case strings.HasPrefix(link, "socket:"):
			link = sockets[strings.Trim(link, "socket:[]")]
		}
		count[link]++
	}
	return count
}

// socketsOf returns the types of the sockets in a process's network namespace by inode (proc_pid_net(5)). The unix socket without a
// path that a switch has open is its session with the keeper.
func socketsOf(t *testing.T, pid int) map[string]string {
	t.Helper()
	names := map[string]string{}
	for _, line := range procNet(t, pid, "packet") {
		names[line[8]] = "packet socket"
	}
	for _, line := range procNet(t, pid, "unix") {
		switch {
		case len(line) == 7:
			names[line[6]] = "session"
		case strings.HasSuffix(line[7], "/control.sock") && line[3] == "00010000": // __SO_ACCEPTCON: it listens
			names[line[6]] = "control socket"
		case strings.HasSuffix(line[7], "/keeper.sock"):
			names[line[6]] = "keeper's socket"
		}
	}
	return names
}

// procNet reads a table of /proc/PID/net without its header.
func procNet(t *testing.T, pid int, name string) (lines [][]string) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.Fields(line))
	}
	return slices.Delete(lines, 0, 1)
}
