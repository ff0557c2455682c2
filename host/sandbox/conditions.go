package sandbox

import "golang.org/x/sys/unix"

// alternatives are conditions on the arguments of a system call: all of one line have to hold. No line: nothing has to.
type alternatives [][]condition

// A condition is about one argument, counted from 0.
type condition struct {
	argument uint32
	test     test
	value    uint64 // of 32 bits, but for equals
}

type test int

const (
	equals test = iota // the argument is the value
	has                // it has a bit of the value
	lacks              // it has none
)

// threadFlags are those of runtime.newosproc; with others clone(2) makes a process, or namespaces.
const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD

// newThread allows a thread as the runtime makes it, which on arm64 sets the register for thread-local storage itself.
func newThread(architecture string) alternatives {
	if architecture == "arm64" {
		return is(0, threadFlags)
	}
	return is(0, threadFlags|unix.CLONE_SETTLS)
}

// addressArgument is where sendto(2) has the address.
const addressArgument = 4

// is allows one value of one argument.
func is(argument uint32, value uint64) alternatives { return alternatives{{{argument, equals, value}}} }

// plainMemory allows what allocates. Memory that is never executable and never a file's, nor a device's, takes the two usual
// means from who has got a write into the process.
func plainMemory() alternatives {
	return alternatives{{{2, lacks, unix.PROT_EXEC}, {3, has, unix.MAP_ANONYMOUS}}}
}

func memoryName() alternatives {
	return alternatives{{{0, equals, unix.PR_SET_VMA}, {1, equals, unix.PR_SET_VMA_ANON_NAME}}}
}

func fileCommands() alternatives {
	var a alternatives
	for _, command := range []uint64{unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD, unix.F_DUPFD_CLOEXEC} {
		a = append(a, is(1, command)...)
	}
	return a
}

func readOptions() alternatives {
	return append(is(1, unix.SOL_SOCKET), is(1, unix.SOL_PACKET)...)
}

// writeOptions leaves out filters that a socket runs, rings that it maps, and all of netfilter.
func writeOptions() alternatives {
	var a alternatives
	for _, option := range [][2]uint64{
		{unix.SOL_SOCKET, unix.SO_SNDBUF}, {unix.SOL_SOCKET, unix.SO_RCVBUF},
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE}, {unix.SOL_SOCKET, unix.SO_RCVBUFFORCE},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.SOL_SOCKET, unix.SO_LINGER},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
	} {
		a = append(a, []condition{{1, equals, option[0]}, {2, equals, option[1]}})
	}
	return a
}
