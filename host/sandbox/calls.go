package sandbox

import (
	"os"
	"runtime"
)

// A Call is a system call that a process in the sandbox may make.
type Call struct {
	Name      string // the kernel's
	Purpose   string // what makes it
	Condition string // what its arguments have to be; empty: anything

	allowed alternatives // the condition as the filter has it
}

// SystemCalls returns the allowed calls on this architecture. Those that every frame makes come first, because an older kernel
// (before Linux 5.11) goes through the list at each call.
func SystemCalls() []Call { return callsOf(runtime.GOARCH, os.Getpid()) }

// callsOf returns the allowed calls of the process with the given number.
func callsOf(architecture string, pid int) []Call {
	var calls []Call
	calls = append(calls, frameCalls()...)
	calls = append(calls, socketCalls()...)
	return append(calls, runtimeCalls(architecture, pid)...)
}

// frameCalls are those of ports, one or more for every frame or batch.
func frameCalls() []Call {
	return []Call{
		{Name: "ppoll", Purpose: "wait for frames at a port"},
		{Name: "read", Purpose: "frames of a tap; sockets, and the runtime's own pipe"},
		{Name: "writev", Purpose: "a frame to a tap, behind its header"},
		{Name: "recvmmsg", Purpose: "frames of a packet socket, or of a unix socket that keeps bounds"},
		{Name: "sendmmsg", Purpose: "frames to them"},
		{Name: "sendmsg", Purpose: "frames to a stream; descriptors to who takes over"},
		{Name: "write", Purpose: "wake a port that waits; sockets and log lines"},
		{Name: "futex", Purpose: "threads wait for each other"},
		{Name: "epoll_pwait", Purpose: "the runtime waits for sockets and timers"},
		{Name: "nanosleep", Purpose: "the runtime's watch over its threads"},
	}
}

// socketCalls are those of connections and of the control socket, and of descriptors that come and go.
func socketCalls() []Call {
	return []Call{
		{Name: "recvmsg", Purpose: "descriptors that the keeper passes on"},
		{Name: "recvfrom", Purpose: "frames of a stream; look at what has come, and datagrams"},
		{Name: "sendto", Purpose: "datagrams of a connected socket", Condition: "no address", allowed: is(addressArgument, 0)},
		{Name: "accept4", Purpose: "a hypervisor at a stream socket, and who asks at the control socket"},
		{Name: "getsockname", Purpose: "what a socket is that was passed on"},
		{Name: "getpeername", Purpose: "what a socket is that was passed on"},
		{Name: "getsockopt", Purpose: "what a socket is, who is at its other end, and the kernel's counters of a packet socket",
			Condition: "level `SOL_SOCKET` or `SOL_PACKET`", allowed: readOptions()},
		{Name: "setsockopt", Purpose: "buffers, keepalive, and how a connection ends",
			Condition: "`SO_SNDBUF`, `SO_RCVBUF`, `SO_SNDBUFFORCE`, `SO_RCVBUFFORCE`, `SO_KEEPALIVE`, `SO_LINGER`, " +
				"`TCP_NODELAY`, `TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`",
			allowed: writeOptions()},
		{Name: "shutdown", Purpose: "end one direction of a connection"},
		{Name: "close", Purpose: "connections that have ended, and ports that are lost"},
		{Name: "fcntl", Purpose: "non-blocking mode; a second number for a descriptor",
			Condition: "`F_GETFL`, `F_SETFL`, `F_GETFD`, `F_SETFD`, `F_DUPFD_CLOEXEC`", allowed: fileCommands()},
		{Name: "eventfd2", Purpose: "what ends the wait of a port that is closed"},
		{Name: "epoll_ctl", Purpose: "sockets that come to the runtime's poller, and leave it"},
	}
}

// runtimeCalls are those of the Go runtime: threads, memory, signals, and the end.
func runtimeCalls(architecture string, pid int) []Call {
	return []Call{
		{Name: "clone", Purpose: "threads", Condition: "the flags of a Go thread, exactly", allowed: newThread(architecture)},
		{Name: "sched_yield", Purpose: "threads that wait for a moment"},
		{Name: "sched_getaffinity", Purpose: "how many processors there are, looked at once a second"},
		{Name: "pread64", Purpose: "the cgroup's processor limit, likewise, from a file that the runtime has open"},
		{Name: "mmap", Purpose: "memory", Condition: "without `PROT_EXEC`, with `MAP_ANONYMOUS`", allowed: plainMemory()},
		{Name: "munmap", Purpose: "memory"},
		{Name: "madvise", Purpose: "memory that is given back to the kernel"},
		{Name: "prctl", Purpose: "names of memory, where the kernel shows them", Condition: "`PR_SET_VMA`, `PR_SET_VMA_ANON_NAME`",
			allowed: memoryName()},
		{Name: "getrandom", Purpose: "DHCP, TCP sequence numbers, seeds of maps"},
		{Name: "clock_gettime", Purpose: "time, where the kernel's page for it does not tell"},
		{Name: "getpid", Purpose: "signals between the threads"},
		{Name: "gettid", Purpose: "signals between the threads"},
		{Name: "geteuid", Purpose: "who may ask at the control socket"},
		{Name: "tgkill", Purpose: "preemption of a goroutine; the end by a signal", Condition: "the own process", allowed: is(0, uint64(pid))},
		{Name: "rt_sigaction", Purpose: "signals that are listened to"},
		{Name: "rt_sigprocmask", Purpose: "signals while a thread starts"},
		{Name: "rt_sigreturn", Purpose: "the end of a signal's handler"},
		{Name: "sigaltstack", Purpose: "the stack for signals of a new thread"},
		{Name: "restart_syscall", Purpose: "the kernel's own, when a process that was stopped goes on"},
		{Name: "exit", Purpose: "the end of a thread"},
		{Name: "exit_group", Purpose: "the end"},
	}
}
