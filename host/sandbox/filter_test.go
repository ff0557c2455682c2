package sandbox

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A filter runs the assembled program in a BPF machine that behaves as the kernel's.
type filter struct {
	t  *testing.T
	vm *bpf.VM
}

func newFilter(t *testing.T) filter {
	t.Helper()
	instructions, err := program(allowedCalls())
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		t.Fatal(err)
	}
	return filter{t, vm}
}

// decide returns the filter's action for a call. The machine loads words in network byte order, so decide stores the words of struct
// seccomp_data (seccomp(2)) in that order.
func (f filter) decide(number uint32, audit uint32, arguments [6]uint64) seccomp.Action {
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data, number)
	binary.BigEndian.PutUint32(data[4:], audit)
	for i, a := range arguments {
		low, high := 16+8*i, 20+8*i
		if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
			low, high = high, low
		}
		binary.BigEndian.PutUint32(data[low:], uint32(a))
		binary.BigEndian.PutUint32(data[high:], uint32(a>>32))
	}
	action, err := f.vm.Run(data)
	if err != nil {
		f.t.Fatal(err)
	}
	return seccomp.Action(uint32(action))
}

// expected is a slow reference implementation of the filter.
func expected(calls []allowedCall, number uint32, arguments [6]uint64) seccomp.Action {
	i := slices.IndexFunc(calls, func(c allowedCall) bool { return c.number == number })
	if i < 0 {
		return seccomp.ActionKillProcess
	}
	if len(calls[i].arguments) == 0 || slices.ContainsFunc(calls[i].arguments, func(all []condition) bool { return hold(all, arguments) }) {
		return seccomp.ActionAllow
	}
	return seccomp.ActionKillProcess
}

func hold(all []condition, arguments [6]uint64) bool {
	for _, c := range all {
		a := arguments[c.argument]
		if ok := map[test]bool{equals: a == c.value, has: a&c.value != 0, lacks: a&c.value == 0}; !ok[c.test] {
			return false
		}
	}
	return true
}

// TestFilter compares filter and reference for every number, with arguments near those of the conditions.
func TestFilter(t *testing.T) {
	f, calls := newFilter(t), allowedCalls()
	near := []uint64{0, 1, 2, 3, 4, 6, 7, 8, 9, 13, 17, 23, 26, 32, 34, 263, 1030, unix.PR_SET_VMA, threadFlags, threadFlags | unix.CLONE_SETTLS, uint64(os.Getpid()), 1 << 32, 1<<32 | 1}
	for _, c := range calls {
		near = append(near, uint64(c.number)) // an argument must not pass as a number
	}
	random := rand.New(rand.NewPCG(1, 2))
	for number := range uint32(1024) {
		for range 200 {
			var a [6]uint64
			for i := range a {
				a[i] = near[random.IntN(len(near))]
			}
			if got, want := f.decide(number, auditArch, a), expected(calls, number, a); got != want {
				t.Fatalf("%d %#x: the filter says %s, the list %s", number, a, got, want)
			}
		}
	}
}

// TestConditions has the allowed and refused arguments as literal values.
func TestConditions(t *testing.T) {
	f := newFilter(t)
	pid := uint64(os.Getpid())
	thread := uint64(0x50f00)
	if runtime.GOARCH == "amd64" {
		thread = 0xd0f00
	}
	clone := func(flags uint64) (a [6]uint64) {
		a[cloneFlagsArgument] = flags
		return a
	}
	for _, c := range []struct {
		name  string
		args  [6]uint64
		allow bool
	}{
		{"clone", clone(thread), true},
		{"clone", clone(17), false},
		{"clone", clone(thread | unix.CLONE_NEWUSER), false},
		{"clone", clone(1<<32 | thread), false},
		{"tgkill", [6]uint64{pid, 1, 2}, true},
		{"tgkill", [6]uint64{pid + 1, 1, 2}, false},
		{"prctl", [6]uint64{0x53564d41, 0}, true},
		{"prctl", [6]uint64{0x53564d41, 1}, false},
		{"prctl", [6]uint64{4, 0}, false},
		{"mmap", [6]uint64{2: 3, 3: 0x22}, true},
		{"mmap", [6]uint64{2: 0, 3: 0x32}, true},
		{"mmap", [6]uint64{2: 7, 3: 0x22}, !mmapInRegisters},
		{"mmap", [6]uint64{2: 3, 3: 0x01}, !mmapInRegisters},
		{"fcntl", [6]uint64{1: 4}, true},
		{"fcntl", [6]uint64{1: 0}, false},
		{"fcntl", [6]uint64{1: 1030}, true},
		{"sendto", [6]uint64{4: 0}, true},
		{"sendto", [6]uint64{4: 1 << 40}, false},
		{"getsockopt", [6]uint64{1: 263, 2: 6}, true},
		{"getsockopt", [6]uint64{1: 0}, false},
		{"setsockopt", [6]uint64{1: 6, 2: 1}, true},
		{"setsockopt", [6]uint64{1: 6, 2: 31}, false},
		{"setsockopt", [6]uint64{1: 1, 2: 26}, false},
		{"setsockopt", [6]uint64{1: 263, 2: 15}, true}, // SOL_PACKET, PACKET_VNET_HDR
		{"setsockopt", [6]uint64{1: 263, 2: 5}, false}, // PACKET_RX_RING
		{"read", [6]uint64{1, 2, 3}, true},
		{"openat", [6]uint64{}, false},
	} {
		number := uint32(unix.SYS_OPENAT)
		if i := slices.IndexFunc(allowedCalls(), func(a allowedCall) bool { return a.name == c.name }); i >= 0 {
			number = allowedCalls()[i].number
		}
		want := map[bool]seccomp.Action{true: seccomp.ActionAllow, false: seccomp.ActionKillProcess}[c.allow]
		if got := f.decide(number, auditArch, c.args); got != want {
			t.Errorf("%s %#x: %s, want %s", c.name, c.args, got, want)
		}
	}
}

// TestOtherConventions makes 32-bit and x32 calls, which the same process could make on amd64.
func TestOtherConventions(t *testing.T) {
	f := newFilter(t)
	const read = unix.SYS_READ
	for _, other := range []*arch.Info{arch.I386, arch.ARM} {
		if got := f.decide(read, uint32(other.ID), [6]uint64{}); got != seccomp.ActionKillProcess {
			t.Errorf("%s: %s", other.Name, got)
		}
	}
	if runtime.GOARCH != "amd64" {
		return
	}
	if got := f.decide(read|uint32(arch.X32.SeccompMask), auditArch, [6]uint64{}); got == seccomp.ActionAllow {
		t.Error("x32 is allowed")
	}
}

// TestNames checks the number of calls, and compares their numbers with the library's table if it has one of this architecture.
func TestNames(t *testing.T) {
	const most = 46
	calls, seen := allowedCalls(), make(map[string]bool)
	if len(calls) > most {
		t.Errorf("%d calls, want at most %d", len(calls), most)
	}
	numbers := map[string]map[string]int{"amd64": arch.X86_64.SyscallNames, "arm64": arch.AARCH64.SyscallNames}[runtime.GOARCH]
	for _, c := range calls {
		if seen[c.name] {
			t.Errorf("%s is there twice", c.name)
		}
		if number, known := numbers[c.name]; numbers != nil && (!known || uint32(number) != c.number) {
			t.Errorf("%s has the number %d, want %d", c.name, c.number, number)
		}
		if c.purpose == "" || c.name != "mmap" && (c.condition == "") != (len(c.arguments) == 0) {
			t.Errorf("%s has no purpose, or a condition in words or in the filter alone", c.name)
		}
		seen[c.name] = true
	}
}
