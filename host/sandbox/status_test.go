package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// needRoot skips a test that changes to another user.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// as makes a child run as an ordinary user.
func as(uid uint32) func(*exec.Cmd) {
	return func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
}

// inUserNamespace makes a child root in new namespaces, as unshare -Urn does.
func inUserNamespace(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// needUserNamespace skips a test if the machine does not allow user namespaces.
func needUserNamespace(t *testing.T) {
	t.Helper()
	probe := exec.Command(os.Getenv(binaryVariable), "-test.run=^$")
	inUserNamespace(probe)
	if err := probe.Start(); err != nil {
		t.Skip("needs user namespaces: ", err)
	}
	_ = probe.Wait()
}

// asIs does not change a child's user or namespaces.
func asIs(*exec.Cmd) {}

// TestStatus reads the kernel's status of every thread of a child in the sandbox, for each kind of user.
func TestStatus(t *testing.T) {
	for _, c := range []struct {
		name     string
		how      func(*exec.Cmd)
		with     []string // in addition to everything
		need     func(*testing.T)
		bounding bool // the bounding set has to be empty
	}{
		{name: "as the test", how: asIs, bounding: mayBound()},
		{name: "with datagrams", how: asIs, with: []string{"datagrams"}, bounding: mayBound()},
		{name: "an ordinary user", how: as(65534), need: needRoot},
		{name: "root without capabilities", how: asIs, with: []string{"drop first"}, need: needRoot},
		{name: "root of a user namespace", how: inUserNamespace, need: needUserNamespace, bounding: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.need != nil {
				c.need(t)
			}
			s := startChild(t, "idle", append(c.with, everything()...), c.how)
			if s.report.SystemCalls != len(allowedCalls()) || s.report.Landlock != usableABI() || s.report.Bounding != c.bounding {
				t.Errorf("the report says %+v", s.report)
			}
			threads := statusOf(t, s.cmd.Process.Pid)
			for _, thread := range threads {
				checkThread(t, thread, c.bounding)
			}
			if len(threads) < 2 {
				t.Errorf("%d threads, want several", len(threads))
			}
			s.wantSuccess()
		})
	}
}

// mayBound reports whether a child of the test can empty its bounding set.
func mayBound() bool {
	own, err := ownSet()
	return err == nil && own.permits(unix.CAP_SETPCAP)
}

// statusOf returns the fields of /proc/PID/task/*/status (proc_pid_status(5)).
func statusOf(t *testing.T, pid int) []map[string]string {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended in between
		}
		fields := make(map[string]string)
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			fields[name] = strings.TrimSpace(value)
		}
		all = append(all, fields)
	}
	return all
}

func checkThread(t *testing.T, thread map[string]string, bounding bool) {
	t.Helper()
	const none = "0000000000000000"
	want := map[string]string{"CapEff": none, "CapPrm": none, "CapInh": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2"}
	if bounding {
		want["CapBnd"] = none
	}
	for name, value := range want {
		if thread[name] != value {
			t.Errorf("thread %s: %s %s, want %s", thread["Pid"], name, thread[name], value)
		}
	}
}

// TestAnyCaller makes allowed calls and a forbidden one, for each kind of user.
func TestAnyCaller(t *testing.T) {
	for _, c := range []struct {
		name string
		how  func(*exec.Cmd)
		need func(*testing.T)
	}{{"an ordinary user", as(65534), needRoot}, {"root of a user namespace", inUserNamespace, needUserNamespace}} {
		t.Run(c.name, func(t *testing.T) {
			c.need(t)
			s := startChild(t, "stopped", everything(), c.how)
			s.wantSuccess()
			_, state := startChild(t, "socket AF_NETLINK", everything(), c.how).end()
			if status := state.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGSYS {
				t.Errorf("a forbidden call: %s", state)
			}
		})
	}
}

// TestCgo: Enter refuses a binary with cgo.
func TestCgo(t *testing.T) {
	if !withCgo {
		t.Skip("this binary is built without cgo")
	}
	if _, err := Enter(Policy{}); err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("Enter in a binary with cgo: %v", err)
	}
	if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || set != 0 {
		t.Errorf("no_new_privs is %d, %v: the refusal has changed the process", set, err)
	}
}
