package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch          = unix.AUDIT_ARCH_S390X
	cloneFlagsArgument = 1 // the stack is the first argument (clone(2))
	cloneFlags         = threadFlags
	mmapInRegisters    = false // the argument is a pointer to the arguments (mmap(2))
)

// machineCalls allows socketcall(2), by which package syscall makes the calls of sockets. Its arguments are in memory: the conditions of
// socketCalls on addresses and options do not hold for it.
func machineCalls() []allowedCall {
	var calls alternatives
	for _, call := range []uint64{sysGetSockName, sysGetPeerName, sysSendTo, sysRecvFrom, sysShutdown, sysSetSockOpt, sysGetSockOpt, sysSendMsg,
		sysRecvMsg, sysAccept4} {
		calls = append(calls, is(0, call)...)
	}
	return []allowedCall{{name: "socketcall", number: unix.SYS_SOCKETCALL, purpose: "the calls of sockets",
		condition: "the calls of this list", arguments: calls}}
}

// The numbers of socketcall(2) (linux/net.h).
const (
	sysGetSockName = 6
	sysGetPeerName = 7
	sysSendTo      = 11
	sysRecvFrom    = 12
	sysShutdown    = 13
	sysSetSockOpt  = 14
	sysGetSockOpt  = 15
	sysSendMsg     = 16
	sysRecvMsg     = 17
	sysAccept4     = 18
)
