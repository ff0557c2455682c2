package sandbox

import "golang.org/x/sys/unix"

// alternatives are conditions on the arguments of a system call, which is allowed if all conditions of one line hold. Without lines, it is
// always allowed.
type alternatives [][]condition

// A condition is a test of one argument; the first argument is 0.
type condition struct {
	argument uint32
	test     test
	value    uint64 // has and lacks: of 32 bits
}

type test int

const (
	equals test = iota // the argument is the value
	has                // the argument has a bit of the value set
	lacks              // the argument has no bit of the value set
)

// threadFlags are the flags of clone(2) in the runtime's newosproc. Other flags create a process or namespaces.
const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD

// newThread allows clone(2) as the runtime calls it.
func newThread() alternatives { return is(cloneFlagsArgument, cloneFlags) }

// addressArgument is the argument of sendto(2) that points to the address.
const addressArgument = 4

// is returns the condition that an argument has one value.
func is(argument uint32, value uint64) alternatives { return alternatives{{{argument, equals, value}}} }

// plainMemory allows mmap(2) for anonymous memory that is not executable. So an attacker who can write to the process's memory cannot map
// code, or the memory of a file or a device. A filter cannot read arguments in memory, so that s390x has no such condition.
func plainMemory() alternatives {
	if !mmapInRegisters {
		return nil
	}
	return alternatives{{{2, lacks, unix.PROT_EXEC}, {3, has, unix.MAP_ANONYMOUS}}}
}

// memoryName allows prctl(2) to name a memory mapping.
func memoryName() alternatives {
	return alternatives{{{0, equals, unix.PR_SET_VMA}, {1, equals, unix.PR_SET_VMA_ANON_NAME}}}
}

// fileCommands allows commands of fcntl(2) that change or duplicate a descriptor of this process.
func fileCommands() alternatives {
	var a alternatives
	for _, command := range []uint64{unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD, unix.F_DUPFD_CLOEXEC} {
		a = append(a, is(1, command)...)
	}
	return a
}

// readOptions allows getsockopt(2) for options of sockets and of packet sockets.
func readOptions() alternatives {
	return append(is(1, unix.SOL_SOCKET), is(1, unix.SOL_PACKET)...)
}

// writeOptions allows setsockopt(2) for a few options. It does not allow socket filters, memory-mapped rings and the options of netfilter.
func writeOptions() alternatives {
	var a alternatives
	for _, option := range [][2]uint64{
		{unix.SOL_SOCKET, unix.SO_SNDBUF}, {unix.SOL_SOCKET, unix.SO_RCVBUF},
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE}, {unix.SOL_SOCKET, unix.SO_RCVBUFFORCE},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.SOL_SOCKET, unix.SO_LINGER},
		{unix.SOL_PACKET, unix.PACKET_VNET_HDR},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
	} {
		a = append(a, []condition{{1, equals, option[0]}, {2, equals, option[1]}})
	}
	return a
}
