package sandbox

import (
	"fmt"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data (seccomp(2)), and the size of what is read.
const (
	numberOffset = 0
	archOffset   = 4
	wordSize     = 4
)

// assemble makes the program that the kernel runs, as program describes it.
func assemble(calls []Call) ([]unix.SockFilter, error) {
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

// program judges every system call:
//
//  1. a call by the conventions of another architecture ends the process: the numbers mean something else there
//  2. the number of an allowed call without conditions: allowed
//  3. with conditions: allowed if they hold, and otherwise the end; no other number is looked at any more
//  4. any other number, those of x32 among them: the end
//
// The library's own assembly of a policy goes on to the next number when a condition does not hold, with the argument in the
// register where the number was: so an argument could pass for a call that is allowed. Its labels are of use nevertheless.
func program(calls []Call) ([]bpf.Instruction, error) {
	machine, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("the filter of system calls: %w", err)
	}
	p := seccomp.NewProgram()
	for _, c := range calls {
		number, known := machine.SyscallNames[c.Name]
		if !known {
			return nil, fmt.Errorf("the filter of system calls: %s has no system call %q", machine.Name, c.Name)
		}
		addCall(&p, uint32(number), c.allowed)
	}
	p.Ret(seccomp.ActionKillProcess)
	judge, err := p.Assemble()
	if err != nil {
		return nil, fmt.Errorf("the filter of system calls: %w", err)
	}
	return append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: archOffset, Size: wordSize},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(machine.ID), SkipTrue: 1},
		bpf.RetConstant{Val: uint32(seccomp.ActionKillProcess)},
		bpf.LoadAbsolute{Off: numberOffset, Size: wordSize},
	}, judge...), nil
}

// addCall judges one call, and goes on behind itself with the number untouched if it is another one.
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

// addCondition goes to fails unless the condition holds. An argument has two words, and the register takes one.
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
