package sandbox

import (
	"testing"

	"github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// TestSocketCall checks which calls socketcall(2) may make, by their numbers in linux/net.h.
func TestSocketCall(t *testing.T) {
	f := newFilter(t)
	for call, want := range map[uint64]seccomp.Action{
		1: seccomp.ActionKillProcess, 2: seccomp.ActionKillProcess, 3: seccomp.ActionKillProcess, 8: seccomp.ActionKillProcess,
		11: seccomp.ActionAllow, 14: seccomp.ActionAllow, 17: seccomp.ActionAllow, 18: seccomp.ActionAllow,
	} {
		if got := f.decide(unix.SYS_SOCKETCALL, auditArch, [6]uint64{call}); got != want {
			t.Errorf("call %d: %s, want %s", call, got, want)
		}
	}
}
