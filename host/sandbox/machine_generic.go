//go:build arm64 || loong64 || ppc64le || riscv64

package sandbox

const (
	cloneFlagsArgument = 0
	cloneFlags         = threadFlags // without CLONE_SETTLS: a new thread sets its register for thread-local storage itself
	mmapInRegisters    = true
)

func machineCalls() []allowedCall { return nil }
