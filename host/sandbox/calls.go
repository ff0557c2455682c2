package sandbox

import (
	"os"
	"runtime"
)

// A Call is a system call that a process in the sandbox may make.
type Call struct {
	Name      string // as in syscalls(2)
	Purpose   string // what the process uses it for
	Condition string // on its arguments; empty: none

	allowed alternatives // Condition in the form that the filter is made of
}

// SystemCalls returns the allowed calls on this architecture. The calls of the frame path come first, because a kernel before Linux 5.11
// runs the filter from its beginning for each call; later kernels cache the calls without a condition.
func SystemCalls() []Call { return callsOf(runtime.GOARCH, os.Getpid()) }

// callsOf returns the allowed calls of the process with the given ID.
func callsOf(architecture string, pid int) []Call {
	var calls []Call
	calls = append(calls, frameCalls()...)
	calls = append(calls, socketCalls()...)
	return append(calls, runtimeCalls(architecture, pid)...)
}

// frameCalls returns the calls that ports make for every frame or batch.
func frameCalls() []Call {
	return []Call{
		{Name: "ppoll", Purpose: "wait for frames at a port"},
		{Name: "read", Purpose: "frames of a tap; sockets; the runtime's own pipe"},
		{Name: "writev", Purpose: "a frame to a tap, with its header"},
		{Name: "recvmmsg", Purpose: "frames of a packet socket, or of a datagram or seqpacket socket"},
		{Name: "sendmmsg", Purpose: "frames to these sockets"},
		{Name: "sendmsg", Purpose: "frames to a stream; descriptors for the next switch"},
		{Name: "write", Purpose: "wake-up of a port that waits; sockets; log lines"},
		{Name: "futex", Purpose: "synchronisation of threads"},
		{Name: "epoll_pwait", Purpose: "the runtime's wait for sockets and timers"},
		{Name: "nanosleep", Purpose: "the runtime's monitor thread"},
	}
}

// socketCalls returns the calls for connections, the control socket, and descriptors that are received and closed.
func socketCalls() []Call {
	return []Call{
		{Name: "recvmsg", Purpose: "descriptors from the keeper"},
		{Name: "recvfrom", Purpose: "frames of a stream; datagrams; a look at queued data"},
		{Name: "sendto", Purpose: "datagrams of a connected socket", Condition: "no address", allowed: is(addressArgument, 0)},
		{Name: "accept4", Purpose: "connections of a hypervisor and of clients of the control socket"},
		{Name: "getsockname", Purpose: "the type of a received socket"},
		{Name: "getpeername", Purpose: "the type of a received socket"},
		{Name: "getsockopt", Purpose: "the type of a socket, the credentials of its peer, the kernel's counters of a packet socket",
			Condition: "level `SOL_SOCKET` or `SOL_PACKET`", allowed: readOptions()},
		{Name: "setsockopt", Purpose: "buffer sizes, keepalive, and linger time",
			Condition: "`SO_SNDBUF`, `SO_RCVBUF`, `SO_SNDBUFFORCE`, `SO_RCVBUFFORCE`, `SO_KEEPALIVE`, `SO_LINGER`, " +
				"`TCP_NODELAY`, `TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`",
			allowed: writeOptions()},
		{Name: "shutdown", Purpose: "end of one direction of a connection"},
		{Name: "close", Purpose: "ended connections and lost ports"},
		{Name: "fcntl", Purpose: "non-blocking mode; duplicate of a descriptor",
			Condition: "`F_GETFL`, `F_SETFL`, `F_GETFD`, `F_SETFD`, `F_DUPFD_CLOEXEC`", allowed: fileCommands()},
		{Name: "eventfd2", Purpose: "the wake-up descriptor of a port"},
		{Name: "epoll_ctl", Purpose: "sockets that the runtime's poller watches"},
	}
}

// runtimeCalls returns the calls of the Go runtime for threads, memory, time, signals and exit.
func runtimeCalls(architecture string, pid int) []Call {
	return []Call{
		{Name: "clone", Purpose: "new threads", Condition: "exactly the flags of a Go thread", allowed: newThread(architecture)},
		{Name: "sched_yield", Purpose: "a short wait of a thread"},
		{Name: "sched_getaffinity", Purpose: "number of processors, read once a second"},
		{Name: "pread64", Purpose: "processor limit of the cgroup, read once a second from a file that the runtime has open"},
		{Name: "mmap", Purpose: "memory", Condition: "without `PROT_EXEC`, with `MAP_ANONYMOUS`", allowed: plainMemory()},
		{Name: "munmap", Purpose: "memory"},
		{Name: "madvise", Purpose: "memory returned to the kernel"},
		{Name: "prctl", Purpose: "names of memory mappings", Condition: "`PR_SET_VMA`, `PR_SET_VMA_ANON_NAME`",
			allowed: memoryName()},
		{Name: "getrandom", Purpose: "random numbers: DHCP, TCP sequence numbers, map seeds"},
		{Name: "clock_gettime", Purpose: "time, if the vDSO does not have it"},
		{Name: "getpid", Purpose: "signals between threads"},
		{Name: "gettid", Purpose: "signals between threads"},
		{Name: "geteuid", Purpose: "check of the control socket's clients"},
		{Name: "tgkill", Purpose: "preemption of a goroutine; exit by a signal", Condition: "this process", allowed: is(0, uint64(pid))},
		{Name: "rt_sigaction", Purpose: "handlers of signals"},
		{Name: "rt_sigprocmask", Purpose: "signal mask during the start of a thread"},
		{Name: "rt_sigreturn", Purpose: "return from a signal handler"},
		{Name: "sigaltstack", Purpose: "signal stack of a new thread"},
		{Name: "restart_syscall", Purpose: "made by the kernel when a stopped process continues"},
		{Name: "exit", Purpose: "exit of a thread"},
		{Name: "exit_group", Purpose: "exit of the process"},
	}
}
