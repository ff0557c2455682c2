//go:build escape

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"

	"golang.org/x/sys/unix"
)

// escapeVariable is the environment variable that selects the attempt to escape from the sandbox. The attempt starts at SIGUSR1. Only
// builds for tests have it.
const escapeVariable = "PODSWITCH_ESCAPE"

// sandboxEntered waits for SIGUSR1 and then starts the attempt. The attempt returns only if the sandbox has let it happen.
func sandboxEntered() {
	name := os.Getenv(escapeVariable)
	begin := make(chan os.Signal, 1)
	signal.Notify(begin, unix.SIGUSR1)
	go func() {
		<-begin
		attempt := attempts()[name]
		if attempt == nil {
			fmt.Fprintf(os.Stderr, "escape: %s is unknown\n", name)
			return
		}
		fmt.Fprintf(os.Stderr, "escape: %s returned: %v\n", name, attempt())
	}()
}

// attempts are ways out of the sandbox that an attacker in control of the process would try.
func attempts() map[string]func() error {
	return map[string]func() error{
		"open":             func() error { _, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0); return err },
		"open for writing": func() error { _, err := unix.Open("/dev/null", unix.O_WRONLY, 0); return err },
		"create":           func() error { _, err := os.Create("/tmp/podswitch-escaped"); return err },
		"list":             func() error { _, err := os.ReadDir("/"); return err },
		"unlink":           func() error { return unix.Unlink("/tmp/podswitch-escaped") },
		"tap":              func() error { _, err := unix.Open("/dev/net/tun", unix.O_RDWR, 0); return err },
		"ioctl":            func() error { _, err := unix.IoctlGetInt(0, unix.TUNGETFEATURES); return err },
		"keeper's memory": func() error {
			_, err := unix.Open(fmt.Sprintf("/proc/%d/mem", os.Getppid()), unix.O_RDWR, 0)
			return err
		},
		"inet":            socketAttempt(unix.AF_INET, unix.SOCK_STREAM),
		"inet6":           socketAttempt(unix.AF_INET6, unix.SOCK_DGRAM),
		"unix":            socketAttempt(unix.AF_UNIX, unix.SOCK_STREAM),
		"packet":          socketAttempt(unix.AF_PACKET, unix.SOCK_RAW),
		"netlink":         socketAttempt(unix.AF_NETLINK, unix.SOCK_RAW),
		"vsock":           socketAttempt(unix.AF_VSOCK, unix.SOCK_STREAM),
		"dial":            func() error { _, err := net.Dial("tcp", "10.244.1.1:80"); return err },
		"datagram away":   func() error { return unix.Sendto(0, []byte{0}, 0, &unix.SockaddrInet4{Port: 53}) },
		"ptrace":          func() error { return unix.PtraceAttach(os.Getppid()) },
		"kill":            func() error { return unix.Kill(os.Getppid(), unix.SIGKILL) },
		"thread's kill":   func() error { return unix.Tgkill(os.Getppid(), os.Getppid(), unix.SIGKILL) },
		"pidfd":           func() error { _, err := unix.PidfdOpen(os.Getppid(), 0); return err },
		"exec":            func() error { return unix.Exec("/proc/self/exe", []string{"podswitch", "version"}, nil) },
		"command":         func() error { return exec.Command("/bin/true").Run() },
		"mount":           func() error { return unix.Mount("none", "/tmp", "tmpfs", 0, "") },
		"namespace":       func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"setns":           func() error { return unix.Setns(0, unix.CLONE_NEWNET) },
		"setuid":          func() error { return unix.Setuid(0) },
		"chroot":          func() error { return unix.Chroot("/") },
		"executable page": executablePage,
	}
}

func socketAttempt(domain, kind int) func() error {
	return func() error { _, err := unix.Socket(domain, kind, 0); return err }
}

func executablePage() error {
	_, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
	return err
}
