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
	t    *testing.T
	vm   *bpf.VM
	arch *arch.Info
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
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	return filter{t, vm, info}
}

// decide returns the filter's action for a call. The machine loads words in network byte order, so decide stores the words of struct
// seccomp_data (seccomp(2)) in that order.
func (f filter) decide(number uint32, audit uint32, arguments [6]uint64) seccomp.Action {
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data, number)
	binary.BigEndian.PutUint32(data[4:], audit)
	for i, a := range arguments {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(a>>32))
	}
	action, err := f.vm.Run(data)
	if err != nil {
		f.t.Fatal(err)
	}
	return seccomp.Action(uint32(action))
}

// expected is a slow reference implementation of the filter.
func expected(calls []allowedCall, name string, arguments [6]uint64) seccomp.Action {
	i := slices.IndexFunc(calls, func(c allowedCall) bool { return c.name == name })
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
		near = append(near, uint64(f.arch.SyscallNames[c.name])) // an argument must not pass as a number
	}
	random := rand.New(rand.NewPCG(1, 2))
	for number := range uint32(1024) {
		name := f.arch.SyscallNumbers[int(number)]
		for range 200 {
			var a [6]uint64
			for i := range a {
				a[i] = near[random.IntN(len(near))]
			}
			if got, want := f.decide(number, uint32(f.arch.ID), a), expected(calls, name, a); got != want {
				t.Fatalf("%s (%d) %#x: the filter says %s, the list %s", name, number, a, got, want)
			}
		}
	}
}

// TestConditions has the allowed and refused arguments as literal values.
func TestConditions(t *testing.T) {
	f := newFilter(t)
	pid := uint64(os.Getpid())
	thread := map[string]uint64{"amd64": 0xd0f00, "arm64": 0x50f00}[runtime.GOARCH]
	for _, c := range []struct {
		name  string
		args  [6]uint64
		allow bool
	}{
		{"clone", [6]uint64{thread}, true},
		{"clone", [6]uint64{17}, false},
		{"clone", [6]uint64{thread | unix.CLONE_NEWUSER}, false},
		{"clone", [6]uint64{1<<32 | thread}, false},
		{"tgkill", [6]uint64{pid, 1, 2}, true},
		{"tgkill", [6]uint64{pid + 1, 1, 2}, false},
		{"prctl", [6]uint64{0x53564d41, 0}, true},
		{"prctl", [6]uint64{0x53564d41, 1}, false},
		{"prctl", [6]uint64{4, 0}, false},
		{"mmap", [6]uint64{2: 3, 3: 0x22}, true},
		{"mmap", [6]uint64{2: 0, 3: 0x32}, true},
		{"mmap", [6]uint64{2: 7, 3: 0x22}, false},
		{"mmap", [6]uint64{2: 3, 3: 0x01}, false},
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
		number := uint32(f.arch.SyscallNames[c.name])
		want := map[bool]seccomp.Action{true: seccomp.ActionAllow, false: seccomp.ActionKillProcess}[c.allow]
		if got := f.decide(number, uint32(f.arch.ID), c.args); got != want {
			t.Errorf("%s %#x: %s, want %s", c.name, c.args, got, want)
		}
	}
}

// TestOtherConventions makes 32-bit and x32 calls, which the same process could make on amd64.
func TestOtherConventions(t *testing.T) {
	f := newFilter(t)
	read := uint32(f.arch.SyscallNames["read"])
	for _, other := range []*arch.Info{arch.I386, arch.ARM} {
		if got := f.decide(read, uint32(other.ID), [6]uint64{}); got != seccomp.ActionKillProcess {
			t.Errorf("%s: %s", other.Name, got)
		}
	}
	if runtime.GOARCH != "amd64" {
		return
	}
	if got := f.decide(read|uint32(arch.X32.SeccompMask), uint32(f.arch.ID), [6]uint64{}); got == seccomp.ActionAllow {
		t.Error("x32 is allowed")
	}
}

// TestNames looks the calls up in the tables of both architectures, and checks their number.
func TestNames(t *testing.T) {
	const most = 45
	for _, info := range []*arch.Info{arch.X86_64, arch.AARCH64} {
		names := map[string]string{arch.X86_64.Name: "amd64", arch.AARCH64.Name: "arm64"}
		calls, seen := allowedCallsOf(names[info.Name], 1), make(map[string]bool)
		if len(calls) > most {
			t.Errorf("%s: %d calls, want at most %d", info.Name, len(calls), most)
		}
		for _, c := range calls {
			if _, known := info.SyscallNames[c.name]; !known || seen[c.name] {
				t.Errorf("%s: %s is unknown, or there twice", info.Name, c.name)
			}
			if c.purpose == "" || (c.condition == "") != (len(c.arguments) == 0) {
				t.Errorf("%s: %s has no purpose, or a condition in words or in the filter alone", info.Name, c.name)
			}
			seen[c.name] = true
		}
	}
}
