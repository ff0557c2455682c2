package podnet

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestIsInitial: from Linux 6.18 on the inode number decides, and before it the sysctls of the initial network namespace.
func TestIsInitial(t *testing.T) {
	pod, half, machine := t.TempDir(), t.TempDir(), t.TempDir()
	for dir, names := range map[string][]string{
		pod: {"core/somaxconn"}, half: {"core/somaxconn", "core/netdev_max_backlog"}, machine: {"core/somaxconn", "core/netdev_max_backlog", "ipv4/tcp_max_orphans"},
	} {
		for _, name := range names {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name, release, sysctls string
		inode                  uint64
		want                   bool
	}{
		{"old kernel, machine", "5.15.0-91-generic", machine, 4026531840, true},
		{"old kernel, pod", "5.15.0-91-generic", pod, 4026532251, false},
		{"old kernel that makes one of the two a pod's", "6.17.1", half, 4026532251, false},
		{"old kernel without /proc/sys", "4.19.0", filepath.Join(pod, "none"), 4026531840, false},
		{"old kernel with the number of new ones", "6.12.3", pod, initialInode, true},
		{"new kernel, machine", "6.18.44-fc", pod, initialInode, true},
		{"new kernel, pod", "6.18.44-fc", machine, 4026532251, false},
		{"first release candidate of a new kernel, pod", "6.18-rc1", machine, 4026532251, false},
		{"a much newer kernel, pod", "10.0.1", machine, 4026532251, false},
		{"unknown release, machine", "", machine, 4026531840, true},
		{"strange release, pod", "six.x", pod, 4026531840, false},
	} {
		if got := (Namespace{Inode: c.inode}).isInitial(c.release, c.sysctls); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestIsInitialNamespace: a namespace that was made is not the initial one, and for the one of the test both signs agree.
func TestIsInitialNamespace(t *testing.T) {
	signs := func() [2]bool {
		n, err := currentNamespace()
		if err != nil {
			t.Error(err)
		}
		return [2]bool{IsInitialNamespace(), n.isInitial("6.1.0", "/proc/sys/net")}
	}
	if own := signs(); own[0] != own[1] {
		t.Errorf("by this kernel's sign the namespace of the test is the initial one: %v, by the sysctls: %v", own[0], own[1])
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make a network namespace")
	}
	found := make(chan [2]bool)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine, because it has another namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		found <- signs()
	}()
	if got := <-found; got[0] || got[1] {
		t.Errorf("a namespace that was made is the initial one by this kernel's sign: %v, by the sysctls: %v", got[0], got[1])
	}
}
