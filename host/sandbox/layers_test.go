package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The environment variables with the addresses that the children of TestLandlock connect to.
const (
	portVariable     = "PODSWITCH_SANDBOX_PORT"
	abstractVariable = "PODSWITCH_SANDBOX_ABSTRACT"
)

// reaches are operations on other processes, each with the ABI version from which landlock refuses it.
func reaches() map[string]func() error {
	return map[string]func() error{
		"tcp connect": func() error {
			return withSocket(unix.AF_INET, func(fd int) error { return unix.Connect(fd, testPort()) })
		},
		"tcp bind": func() error {
			return withSocket(unix.AF_INET, func(fd int) error { return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}) })
		},
		"abstract socket": func() error {
			return withSocket(unix.AF_UNIX, func(fd int) error {
				return unix.Connect(fd, &unix.SockaddrUnix{Name: os.Getenv(abstractVariable)})
			})
		},
		"signal to the parent": func() error { return unix.Kill(os.Getppid(), unix.SIGCONT) },
		"signal to itself":     func() error { return unix.Kill(os.Getpid(), 0) },
	}
}

func withSocket(domain int, f func(fd int) error) error {
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f(fd)
}

func testPort() *unix.SockaddrInet4 {
	port, _ := strconv.Atoi(os.Getenv(portVariable)) // landlock refuses port 0, too
	return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}
}

// powers are operations that need a capability, on namespaces of the child's own.
func powers() map[string]func() error {
	return map[string]func() error{
		"packet socket": func() error { _, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); return err },
		"namespace":     func() error { return unix.Unshare(unix.CLONE_NEWNET) },
		"mount of tmp":  func() error { return unix.Mount("none", "/tmp", "tmpfs", 0, "") },
		"host name":     func() error { return unix.Sethostname([]byte("escaped")) },
		"domain name":   func() error { return unix.Setdomainname([]byte("escaped")) },
	}
}

// try runs a child with some of the layers, and returns the result that it reports.
func try(t *testing.T, name string, with []string, change ...func(*exec.Cmd)) string {
	t.Helper()
	rest, state := startChild(t, name, with, change...).end()
	result, tried := strings.CutPrefix(strings.TrimSpace(rest), "tried: ")
	if !tried {
		t.Fatalf("%s: %s, and says %q", name, state, rest)
	}
	return result
}

// TestLandlock applies landlock alone, and keeps the capabilities of the test.
func TestLandlock(t *testing.T) {
	abi := usableABI()
	if abi == 0 {
		t.Skip("the kernel has no landlock")
	}
	want := make(map[string]string)
	for name := range withFiles() {
		want[name] = unix.EACCES.Error()
	}
	if abi >= 4 {
		want["tcp connect"], want["tcp bind"] = unix.EACCES.Error(), unix.EACCES.Error()
	}
	if abi >= scopedABI {
		want["abstract socket"], want["signal to the parent"], want["signal to itself"] = unix.EPERM.Error(), unix.EPERM.Error(), "<nil>"
	}
	there := listeners(t)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got := try(t, name, []string{"landlock"}, there); got != want[name] && !(name == "list of a folder" && strings.Contains(got, want[name])) {
			t.Errorf("%s: %s, want %s", name, got, want[name])
		}
	}
}

// listeners starts listeners that a child without a sandbox can connect to. The returned function adds their addresses to a child's
// environment.
func listeners(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	name := fmt.Sprintf("@podswitch-sandbox-%d", os.Getpid())
	abstract, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { abstract.Close() })
	there := func(c *exec.Cmd) {
		c.Env = append(os.Environ(), fmt.Sprintf("%s=%d", portVariable, tcp.Addr().(*net.TCPAddr).Port), abstractVariable+"="+name)
	}
	for reach := range reaches() {
		if got := try(t, reach, nil, there); got != "<nil>" {
			t.Fatalf("%s without landlock: %s", reach, got)
		}
	}
	return there
}

// TestCapabilities drops the capabilities alone: operations that need one are refused, also for root.
func TestCapabilities(t *testing.T) {
	needUserNamespace(t)
	alone := func(c *exec.Cmd) {
		inUserNamespace(c)
		c.SysProcAttr.Cloneflags |= unix.CLONE_NEWNS | unix.CLONE_NEWUTS
	}
	for name := range powers() {
		if got := try(t, name, nil, alone); got != "<nil>" {
			t.Errorf("%s with capabilities: %s", name, got)
		}
		if got, want := try(t, name, []string{"capabilities"}, alone), unix.EPERM.Error(); got != want {
			t.Errorf("%s without capabilities: %s, want %s", name, got, want)
		}
	}
}

// TestSeccomp applies the filter alone.
func TestSeccomp(t *testing.T) {
	for _, name := range []string{"file for reading", "socket AF_INET", "kill of the parent"} {
		rest, state := startChild(t, name, []string{"seccomp"}).end()
		if state.Success() || strings.Contains(rest, "tried") {
			t.Errorf("%s: %s, and says %q", name, state, rest)
		}
	}
}

// testDescriptors is the limit of descriptors that the child of TestDescriptors has.
const testDescriptors = 40

// duplicates opens descriptors until that is refused.
func duplicates() error {
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			fmt.Println("tried:", err)
			return nil
		}
		if fd >= testDescriptors {
			return fmt.Errorf("descriptor %d was opened", fd)
		}
	}
}

// TestDescriptors checks that the number of descriptors is bounded, also with a limit above the process's own.
func TestDescriptors(t *testing.T) {
	if got, want := try(t, "duplicates", append(everything(), "descriptors")), unix.EMFILE.Error(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	var before, after unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before)
	if err == nil {
		err = errors.Join(limitDescriptors(0), limitDescriptors(1<<40), unix.Getrlimit(unix.RLIMIT_NOFILE, &after))
	}
	if err != nil || before != after {
		t.Errorf("the limit is %+v, and was %+v; %v", after, before, err)
	}
}
