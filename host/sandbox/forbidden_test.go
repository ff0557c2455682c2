package sandbox

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// forbidden are system calls that kill the process. Their arguments matter only where the name says so.
func forbidden() map[string]func() error {
	all := map[string]func() error{
		"exec":                   func() error { return unix.Exec("/bin/true", []string{"true"}, nil) },
		"fork and exec":          func() error { return exec.Command("/bin/true").Run() },
		"fork":                   call(unix.SYS_CLONE, uintptr(unix.SIGCHLD)),
		"thread in a namespace":  call(unix.SYS_CLONE, threadFlags|unix.CLONE_NEWNET),
		"kill of the parent":     func() error { return unix.Kill(os.Getppid(), 0) },
		"kill of itself":         func() error { return unix.Kill(os.Getpid(), 0) },
		"tgkill of the parent":   func() error { return unix.Tgkill(os.Getppid(), os.Getppid(), 0) },
		"tkill":                  call(unix.SYS_TKILL, uintptr(os.Getpid())),
		"ptrace":                 func() error { return unix.PtraceAttach(os.Getppid()) },
		"mount":                  func() error { return unix.Mount("none", "/tmp", "tmpfs", 0, "") },
		"setuid":                 call(unix.SYS_SETUID, 0),
		"ioctl":                  func() error { _, err := unix.IoctlGetInt(0, unix.TIOCINQ); return err },
		"executable memory":      call(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANONYMOUS|unix.MAP_PRIVATE),
		"memory of a file":       call(unix.SYS_MMAP, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE, 0),
		"dumpable":               func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) },
		"tagged memory":          func() error { return unix.Prctl(unix.PR_SET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) },
		"socket filter":          call(unix.SYS_SETSOCKOPT, 0, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER),
		"packet ring":            call(unix.SYS_SETSOCKOPT, 0, unix.SOL_PACKET, unix.PACKET_RX_RING),
		"netfilter option":       call(unix.SYS_SETSOCKOPT, 0, unix.IPPROTO_IP, 64),
		"netfilter read":         call(unix.SYS_GETSOCKOPT, 0, unix.IPPROTO_IP, 64),
		"owner of a file":        call(unix.SYS_FCNTL, 0, unix.F_SETOWN, 1),
		"sendto with an address": func() error { return unix.Sendto(0, []byte{1}, 0, &unix.SockaddrUnix{Name: "/x"}) },
		"sandbox a second time":  func() error { _, err := Enter(Policy{}); return err },
		"exec in a new thread":   inNewThread(func() error { return unix.Exec("/bin/true", []string{"true"}, nil) }),
	}
	maps.Copy(all, sockets())
	maps.Copy(all, numbered())
	return all
}

// withFiles are the calls that access files, which landlock refuses, too.
func withFiles() map[string]func() error {
	open := func(path string, flags int) func() error {
		return func() error { _, err := unix.Open(path, flags, 0o600); return err }
	}
	return map[string]func() error{
		"file for reading":     open("/etc/hosts", unix.O_RDONLY),
		"file for writing":     open("/dev/null", unix.O_WRONLY),
		"new file":             open("/tmp/podswitch-sandbox-escaped", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL),
		"list of a folder":     func() error { _, err := os.ReadDir("/etc"); return err },
		"removal of a file":    func() error { return unix.Unlink("/etc/hosts") },
		"folder":               func() error { return unix.Mkdir("/tmp/podswitch-sandbox-escaped", 0o700) },
		"link to a file":       func() error { return unix.Symlink("/etc/hosts", "/tmp/podswitch-sandbox-escaped") },
		"socket file":          func() error { return unix.Mknod("/tmp/podswitch-sandbox-escaped", unix.S_IFSOCK|0o600, 0) },
		"memory of the parent": open(fmt.Sprintf("/proc/%d/mem", os.Getppid()), unix.O_RDWR),
	}
}

// sockets are the calls that create, bind or connect sockets.
func sockets() map[string]func() error {
	socket := func(domain, kind int) func() error {
		return func() error { _, err := unix.Socket(domain, kind, 0); return err }
	}
	return map[string]func() error{
		"socket AF_INET":    socket(unix.AF_INET, unix.SOCK_STREAM),
		"socket AF_INET6":   socket(unix.AF_INET6, unix.SOCK_DGRAM),
		"socket AF_UNIX":    socket(unix.AF_UNIX, unix.SOCK_STREAM),
		"socket AF_NETLINK": socket(unix.AF_NETLINK, unix.SOCK_RAW),
		"socket AF_PACKET":  socket(unix.AF_PACKET, unix.SOCK_RAW),
		"socketpair":        func() error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
		"connect":           func() error { return unix.Connect(0, &unix.SockaddrUnix{Name: "/run/x"}) },
		"bind":              func() error { return unix.Bind(0, &unix.SockaddrUnix{Name: "/run/x"}) },
		"listen":            func() error { return unix.Listen(0, 1) },
	}
}

// numbered are calls that are refused by their number alone.
func numbered() map[string]func() error {
	all := make(map[string]func() error)
	for name, number := range map[string]uintptr{
		"clone3": unix.SYS_CLONE3, "unshare": unix.SYS_UNSHARE, "setns": unix.SYS_SETNS, "bpf": unix.SYS_BPF,
		"io_uring_setup": unix.SYS_IO_URING_SETUP, "io_uring_enter": unix.SYS_IO_URING_ENTER, "userfaultfd": unix.SYS_USERFAULTFD,
		"process_vm_readv": unix.SYS_PROCESS_VM_READV, "process_vm_writev": unix.SYS_PROCESS_VM_WRITEV,
		"pidfd_open": unix.SYS_PIDFD_OPEN, "pidfd_getfd": unix.SYS_PIDFD_GETFD, "pidfd_send_signal": unix.SYS_PIDFD_SEND_SIGNAL,
		"perf_event_open": unix.SYS_PERF_EVENT_OPEN, "keyctl": unix.SYS_KEYCTL, "add_key": unix.SYS_ADD_KEY,
		"memfd_create": unix.SYS_MEMFD_CREATE, "mprotect": unix.SYS_MPROTECT, "mremap": unix.SYS_MREMAP, "execveat": unix.SYS_EXECVEAT,
		"openat2": unix.SYS_OPENAT2, "open_by_handle_at": unix.SYS_OPEN_BY_HANDLE_AT, "name_to_handle_at": unix.SYS_NAME_TO_HANDLE_AT,
		"chroot": unix.SYS_CHROOT, "pivot_root": unix.SYS_PIVOT_ROOT, "fsopen": unix.SYS_FSOPEN, "move_mount": unix.SYS_MOVE_MOUNT,
		"init_module": unix.SYS_INIT_MODULE, "finit_module": unix.SYS_FINIT_MODULE, "kexec_load": unix.SYS_KEXEC_LOAD,
		"reboot": unix.SYS_REBOOT, "swapon": unix.SYS_SWAPON, "syslog": unix.SYS_SYSLOG, "sethostname": unix.SYS_SETHOSTNAME,
		"capset": unix.SYS_CAPSET, "seccomp": unix.SYS_SECCOMP, "personality": unix.SYS_PERSONALITY, "prlimit64": unix.SYS_PRLIMIT64,
		"quotactl": unix.SYS_QUOTACTL, "fanotify_init": unix.SYS_FANOTIFY_INIT,
		"inotify_init1": unix.SYS_INOTIFY_INIT1, "splice": unix.SYS_SPLICE, "sendfile": unix.SYS_SENDFILE, "pipe2": unix.SYS_PIPE2,
		"shmget": unix.SYS_SHMGET, "msgget": unix.SYS_MSGGET, "mq_open": unix.SYS_MQ_OPEN, "getdents64": unix.SYS_GETDENTS64,
		"landlock_create_ruleset": unix.SYS_LANDLOCK_CREATE_RULESET, "set_robust_list": unix.SYS_SET_ROBUST_LIST, "unknown": 4000,
	} {
		all[name] = call(number)
	}
	return all
}

// call returns a function that makes a system call with the given arguments, and zero for the others.
func call(number uintptr, arguments ...uintptr) func() error {
	return func() error {
		var a [6]uintptr
		copy(a[:], arguments)
		if _, _, err := unix.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); err != 0 {
			return err
		}
		return nil
	}
}

// inNewThread runs f in a thread that the runtime has created after Enter.
func inNewThread(f func() error) func() error {
	return func() error {
		const threads = 8
		failed := make(chan error)
		var together sync.WaitGroup
		together.Add(threads)
		for range threads {
			go func() {
				runtime.LockOSThread()
				together.Done()
				together.Wait()
				failed <- f()
			}()
		}
		return <-failed
	}
}

// TestForbidden makes each of the calls in the sandbox: SIGSYS ends the process (seccomp(2)).
func TestForbidden(t *testing.T) {
	all := forbidden()
	maps.Copy(all, withFiles())
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rest, state := startChild(t, name, everything()).end()
			status := state.Sys().(syscall.WaitStatus)
			if !status.Signaled() || status.Signal() != syscall.SIGSYS {
				t.Errorf("the child goes on: %s, and says %q", state, rest)
			}
		})
	}
}
