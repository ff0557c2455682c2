package sandbox

import "golang.org/x/sys/unix"

// The properties of this architecture that the filter depends on. Each supported architecture defines them; another one does not compile.
const (
	auditArch          = unix.AUDIT_ARCH_X86_64
	cloneFlagsArgument = 0 // the argument of clone(2) that has the flags
	cloneFlags         = threadFlags | unix.CLONE_SETTLS
	mmapInRegisters    = true // the arguments of mmap(2) are in registers, where the filter sees them
)

// machineCalls returns the calls that only this architecture needs.
func machineCalls() []allowedCall { return nil }
