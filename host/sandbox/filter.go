package sandbox

import (
	"fmt"

	"github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data (seccomp(2)), and the size of a load, in bytes.
const (
	numberOffset = 0
	archOffset   = 4
	wordSize     = 4
)

// assemble returns the BPF program of the filter in the kernel's form.
func assemble(calls []allowedCall) ([]unix.SockFilter, error) {
	instructions, err := program(calls)
	if err != nil {
		return nil, err
	}
	raw, err := bpf.Assemble(instructions)
	if err != nil {
		return nil, fmt.Errorf("the filter of system calls: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return filter, nil
}

// program returns the filter, which decides about every system call in these steps:
//
//  1. Kill the process if the call uses another architecture's convention, in which the numbers mean other calls.
//  2. For each allowed call, in order, compare the number. If it matches and the call has no conditions, allow it.
//  3. If it matches and the call has conditions, allow it if they hold, and otherwise kill the process. The filter compares no further
//     number then.
//  4. Kill the process for any other number, which includes those of x32.
//
// The library's own assembly of a policy is not usable: if a condition does not hold, it continues with the next comparison while the
// accumulator has the argument instead of the number. An argument could then pass as the number of an allowed call. program uses the
// library for its labels.
func program(calls []allowedCall) ([]bpf.Instruction, error) {
	p := seccomp.NewProgram()
	for _, c := range calls {
		addCall(&p, c.number, c.arguments)
	}
	p.Ret(seccomp.ActionKillProcess)
	judge, err := p.Assemble()
	if err != nil {
		return nil, fmt.Errorf("the filter of system calls: %w", err)
	}
	return append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: archOffset, Size: wordSize},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: uint32(seccomp.ActionKillProcess)},
		bpf.LoadAbsolute{Off: numberOffset, Size: wordSize},
	}, judge...), nil
}

// addCall adds the steps for one call. If the number is another one, the program continues behind them, with the number still in the
// accumulator.
func addCall(p *seccomp.Program, number uint32, allowed alternatives) {
	other := p.NewLabel()
	p.JmpIfTrue(bpf.JumpNotEqual, number, other)
	for _, conditions := range allowed {
		next := p.NewLabel()
		for _, c := range conditions {
			addCondition(p, c, next)
		}
		p.Ret(seccomp.ActionAllow)
		p.SetLabel(next)
	}
	if len(allowed) == 0 {
		p.Ret(seccomp.ActionAllow)
	} else {
		p.Ret(seccomp.ActionKillProcess)
	}
	p.SetLabel(other)
}

// addCondition adds a jump to fails that is taken unless the condition holds. An argument has 64 bits and the accumulator 32, so that the
// halves are compared one after the other.
func addCondition(p *seccomp.Program, c condition, fails seccomp.Label) {
	high, low := uint32(c.value>>32), uint32(c.value)
	switch c.test {
	case equals:
		p.LdHi(c.argument)
		p.JmpIfTrue(bpf.JumpNotEqual, high, fails)
		p.LdLo(c.argument)
		p.JmpIfTrue(bpf.JumpNotEqual, low, fails)
	case has:
		p.LdLo(c.argument)
		p.JmpIfTrue(bpf.JumpBitsNotSet, low, fails)
	case lacks:
		p.LdLo(c.argument)
		p.JmpIfTrue(bpf.JumpBitsSet, low, fails)
	}
}
