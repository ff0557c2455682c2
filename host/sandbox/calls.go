package sandbox

import (
	"os"
	"runtime"
)

// An allowedCall is a system call that a process in the sandbox may make.
type allowedCall struct {
	name      string // as in syscalls(2)
	purpose   string // what the process uses it for
	condition string // on its arguments; empty: none

	arguments alternatives // condition in the form that the filter is made of
}

// allowedCalls returns the allowed calls on this architecture. The calls of the frame path come first, because a kernel before Linux 5.11
// runs the filter from its beginning for each call; later kernels cache the calls without a condition.
func allowedCalls() []allowedCall { return allowedCallsOf(runtime.GOARCH, os.Getpid()) }

// allowedCallsOf returns the allowed calls of the process with the given ID.
func allowedCallsOf(architecture string, pid int) []allowedCall {
	var calls []allowedCall
	calls = append(calls, frameCalls()...)
	calls = append(calls, socketCalls()...)
	return append(calls, runtimeCalls(architecture, pid)...)
}

// frameCalls returns the calls that ports make for every frame or batch.
func frameCalls() []allowedCall {
	return []allowedCall{
		{name: "ppoll", purpose: "wait for frames at a port"},
		{name: "read", purpose: "frames of a tap; sockets; the runtime's own pipe"},
		{name: "writev", purpose: "a frame to a tap, with its header"},
		{name: "recvmmsg", purpose: "frames of a packet socket, or of a datagram or seqpacket socket"},
		{name: "sendmmsg", purpose: "frames to these sockets"},
		{name: "sendmsg", purpose: "frames to a stream; descriptors for the next switch"},
		{name: "write", purpose: "wake-up of a port that waits; sockets; log lines"},
		{name: "futex", purpose: "synchronisation of threads"},
		{name: "epoll_pwait", purpose: "the runtime's wait for sockets and timers"},
		{name: "nanosleep", purpose: "the runtime's monitor thread"},
	}
}

// socketCalls returns the calls for connections, the control socket, and descriptors that are received and closed.
func socketCalls() []allowedCall {
	return []allowedCall{
		{name: "recvmsg", purpose: "descriptors from the keeper"},
		{name: "recvfrom", purpose: "frames of a stream; datagrams; a look at queued data"},
		{name: "sendto", purpose: "datagrams of a connected socket", condition: "no address", arguments: is(addressArgument, 0)},
		{name: "accept4", purpose: "connections of a hypervisor and of clients of the control socket"},
		{name: "getsockname", purpose: "the type of a received socket"},
		{name: "getpeername", purpose: "the type of a received socket"},
		{name: "getsockopt", purpose: "the type of a socket, the credentials of its peer, the kernel's counters of a packet socket",
			condition: "level `SOL_SOCKET` or `SOL_PACKET`", arguments: readOptions()},
		{name: "setsockopt", purpose: "buffer sizes, keepalive, linger time, and the offload header of a packet socket",
			condition: "`SO_SNDBUF`, `SO_RCVBUF`, `SO_SNDBUFFORCE`, `SO_RCVBUFFORCE`, `SO_KEEPALIVE`, `SO_LINGER`, `PACKET_VNET_HDR`, " +
				"`TCP_NODELAY`, `TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`",
			arguments: writeOptions()},
		{name: "shutdown", purpose: "end of one direction of a connection"},
		{name: "close", purpose: "ended connections and lost ports"},
		{name: "fcntl", purpose: "non-blocking mode; duplicate of a descriptor",
			condition: "`F_GETFL`, `F_SETFL`, `F_GETFD`, `F_SETFD`, `F_DUPFD_CLOEXEC`", arguments: fileCommands()},
		{name: "eventfd2", purpose: "the wake-up descriptor of a port"},
		{name: "epoll_ctl", purpose: "sockets that the runtime's poller watches"},
	}
}

// runtimeCalls returns the calls of the Go runtime for threads, memory, time, signals and exit.
func runtimeCalls(architecture string, pid int) []allowedCall {
	return []allowedCall{
		{name: "clone", purpose: "new threads", condition: "exactly the flags of a Go thread", arguments: newThread(architecture)},
		{name: "sched_yield", purpose: "a short wait of a thread"},
		{name: "sched_getaffinity", purpose: "number of processors, read once a second"},
		{name: "pread64", purpose: "processor limit of the cgroup, read once a second from a file that the runtime has open"},
		{name: "mmap", purpose: "memory", condition: "without `PROT_EXEC`, with `MAP_ANONYMOUS`", arguments: plainMemory()},
		{name: "munmap", purpose: "memory"},
		{name: "madvise", purpose: "memory returned to the kernel"},
		{name: "prctl", purpose: "names of memory mappings", condition: "`PR_SET_VMA`, `PR_SET_VMA_ANON_NAME`",
			arguments: memoryName()},
		{name: "getrandom", purpose: "random numbers: DHCP, TCP sequence numbers, map seeds"},
		{name: "clock_gettime", purpose: "time, if the vDSO does not have it"},
		{name: "getpid", purpose: "signals between threads"},
		{name: "gettid", purpose: "signals between threads"},
		{name: "geteuid", purpose: "check of the control socket's clients"},
		{name: "tgkill", purpose: "preemption of a goroutine; exit by a signal", condition: "this process", arguments: is(0, uint64(pid))},
		{name: "rt_sigaction", purpose: "handlers of signals"},
		{name: "rt_sigprocmask", purpose: "signal mask during the start of a thread"},
		{name: "rt_sigreturn", purpose: "return from a signal handler"},
		{name: "sigaltstack", purpose: "signal stack of a new thread"},
		{name: "restart_syscall", purpose: "made by the kernel when a stopped process continues"},
		{name: "exit", purpose: "exit of a thread"},
		{name: "exit_group", purpose: "exit of the process"},
	}
}
