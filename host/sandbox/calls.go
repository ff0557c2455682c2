package sandbox

import (
	"os"

	"golang.org/x/sys/unix"
)

// An allowedCall is a system call that a process in the sandbox may make.
type allowedCall struct {
	name      string // as in syscalls(2)
	number    uint32 // on this architecture
	purpose   string // what the process uses it for
	condition string // on its arguments; empty: none

	arguments alternatives // condition in the form that the filter is made of
}

// allowedCalls returns the allowed calls on this architecture. The calls of the frame path come first, because a kernel before Linux 5.11
// runs the filter from its beginning for each call; later kernels cache the calls without a condition.
func allowedCalls() []allowedCall {
	var calls []allowedCall
	calls = append(calls, frameCalls()...)
	calls = append(calls, socketCalls()...)
	calls = append(calls, machineCalls()...)
	return append(calls, runtimeCalls(os.Getpid())...)
}

// frameCalls returns the calls that ports make for every frame or batch.
func frameCalls() []allowedCall {
	return []allowedCall{
		{name: "ppoll", number: unix.SYS_PPOLL, purpose: "wait for frames at a port"},
		{name: "read", number: unix.SYS_READ, purpose: "frames of a tap; sockets; the runtime's own pipe"},
		{name: "writev", number: unix.SYS_WRITEV, purpose: "a frame to a tap, with its header"},
		{name: "recvmmsg", number: unix.SYS_RECVMMSG, purpose: "frames of a packet socket, or of a datagram or seqpacket socket"},
		{name: "sendmmsg", number: unix.SYS_SENDMMSG, purpose: "frames to these sockets"},
		{name: "sendmsg", number: unix.SYS_SENDMSG, purpose: "frames to a stream; descriptors for the next switch"},
		{name: "write", number: unix.SYS_WRITE, purpose: "wake-up of a port that waits; sockets; log lines"},
		{name: "futex", number: unix.SYS_FUTEX, purpose: "synchronisation of threads"},
		{name: "epoll_pwait", number: unix.SYS_EPOLL_PWAIT, purpose: "the runtime's wait for sockets and timers"},
		{name: "nanosleep", number: unix.SYS_NANOSLEEP, purpose: "the runtime's monitor thread"},
	}
}

// socketCalls returns the calls for connections, the control socket, and descriptors that are received and closed.
func socketCalls() []allowedCall {
	return []allowedCall{
		{name: "recvmsg", number: unix.SYS_RECVMSG, purpose: "descriptors from the keeper"},
		{name: "recvfrom", number: unix.SYS_RECVFROM, purpose: "frames of a stream; datagrams; a look at queued data"},
		{name: "sendto", number: unix.SYS_SENDTO, purpose: "datagrams of a connected socket", condition: "no address", arguments: is(addressArgument, 0)},
		{name: "accept4", number: unix.SYS_ACCEPT4, purpose: "connections of a hypervisor and of clients of the control socket"},
		{name: "getsockname", number: unix.SYS_GETSOCKNAME, purpose: "the type of a received socket"},
		{name: "getpeername", number: unix.SYS_GETPEERNAME, purpose: "the type of a received socket"},
		{name: "getsockopt", number: unix.SYS_GETSOCKOPT, purpose: "the type of a socket, the credentials of its peer, the kernel's counters of a packet socket",
			condition: "level `SOL_SOCKET` or `SOL_PACKET`", arguments: readOptions()},
		{name: "setsockopt", number: unix.SYS_SETSOCKOPT, purpose: "buffer sizes, keepalive, linger time, and the offload header of a packet socket",
			condition: "`SO_SNDBUF`, `SO_RCVBUF`, `SO_SNDBUFFORCE`, `SO_RCVBUFFORCE`, `SO_KEEPALIVE`, `SO_LINGER`, `PACKET_VNET_HDR`, " +
				"`TCP_NODELAY`, `TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`",
			arguments: writeOptions()},
		{name: "shutdown", number: unix.SYS_SHUTDOWN, purpose: "end of one direction of a connection"},
		{name: "close", number: unix.SYS_CLOSE, purpose: "ended connections and lost ports"},
		{name: "fcntl", number: unix.SYS_FCNTL, purpose: "non-blocking mode; duplicate of a descriptor",
			condition: "`F_GETFL`, `F_SETFL`, `F_GETFD`, `F_SETFD`, `F_DUPFD_CLOEXEC`", arguments: fileCommands()},
		{name: "eventfd2", number: unix.SYS_EVENTFD2, purpose: "the wake-up descriptor of a port"},
		{name: "epoll_ctl", number: unix.SYS_EPOLL_CTL, purpose: "sockets that the runtime's poller watches"},
	}
}

// runtimeCalls returns the calls of the Go runtime for threads, memory, time, signals and exit, and those of the process for itself.
func runtimeCalls(pid int) []allowedCall {
	return []allowedCall{
		{name: "clone", number: unix.SYS_CLONE, purpose: "new threads", condition: "exactly the flags of a Go thread", arguments: newThread()},
		{name: "sched_yield", number: unix.SYS_SCHED_YIELD, purpose: "a short wait of a thread"},
		{name: "sched_getaffinity", number: unix.SYS_SCHED_GETAFFINITY, purpose: "number of processors, read once a second"},
		{name: "pread64", number: unix.SYS_PREAD64, purpose: "processor limit of the cgroup, read once a second from a file that the runtime has open; counters of the guest's device"},
		{name: "mmap", number: unix.SYS_MMAP, purpose: "memory", condition: "without `PROT_EXEC`, with `MAP_ANONYMOUS`", arguments: plainMemory()},
		{name: "munmap", number: unix.SYS_MUNMAP, purpose: "memory"},
		{name: "madvise", number: unix.SYS_MADVISE, purpose: "memory returned to the kernel"},
		{name: "prctl", number: unix.SYS_PRCTL, purpose: "names of memory mappings", condition: "`PR_SET_VMA`, `PR_SET_VMA_ANON_NAME`",
			arguments: memoryName()},
		{name: "getrandom", number: unix.SYS_GETRANDOM, purpose: "random numbers: DHCP, TCP sequence numbers, map seeds"},
		{name: "clock_gettime", number: unix.SYS_CLOCK_GETTIME, purpose: "time, if the vDSO does not have it"},
		{name: "getpid", number: unix.SYS_GETPID, purpose: "signals between threads"},
		{name: "gettid", number: unix.SYS_GETTID, purpose: "signals between threads"},
		{name: "geteuid", number: unix.SYS_GETEUID, purpose: "check of the control socket's clients"},
		{name: "tgkill", number: unix.SYS_TGKILL, purpose: "preemption of a goroutine; exit by a signal", condition: "this process", arguments: is(0, uint64(pid))},
		{name: "rt_sigaction", number: unix.SYS_RT_SIGACTION, purpose: "handlers of signals"},
		{name: "rt_sigprocmask", number: unix.SYS_RT_SIGPROCMASK, purpose: "signal mask during the start of a thread"},
		{name: "rt_sigreturn", number: unix.SYS_RT_SIGRETURN, purpose: "return from a signal handler"},
		{name: "sigaltstack", number: unix.SYS_SIGALTSTACK, purpose: "signal stack of a new thread"},
		{name: "restart_syscall", number: unix.SYS_RESTART_SYSCALL, purpose: "made by the kernel when a stopped process continues"},
		{name: "exit", number: unix.SYS_EXIT, purpose: "exit of a thread"},
		{name: "exit_group", number: unix.SYS_EXIT_GROUP, purpose: "exit of the process"},
	}
}
