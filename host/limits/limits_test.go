package limits

import (
	"errors"
	"io/fs"
	"os"
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

func TestMemory(t *testing.T) {
	const before = 7 << 30
	fails := func(err error) memlimit.Provider { return func() (uint64, error) { return 0, err } }
	tests := []struct {
		name        string
		environment map[string]string
		provider    memlimit.Provider
		set, after  int64 // bytes
		fails       bool
	}{
		{"a limit", nil, memlimit.Limit(100 << 20), 94371840, 94371840, false},
		{"no limit", nil, fails(memlimit.ErrNoLimit), 0, before, false},
		{"no cgroup", nil, fails(memlimit.ErrNoCgroup), 0, before, false},
		{"no cgroups at all", nil, fails(memlimit.ErrCgroupsNotSupported), 0, before, false},
		{"unreadable", nil, fails(fs.ErrPermission), 0, before, true},
		{"a limit of nothing", nil, memlimit.Limit(0), 0, before, true},
		{"GOMEMLIMIT", map[string]string{goLimit: "64MiB"}, memlimit.Limit(100 << 20), 0, before, false},
		{"another ratio", map[string]string{"AUTOMEMLIMIT": "0.5"}, memlimit.Limit(100 << 20), 50 << 20, 50 << 20, false},
		{"no ratio", map[string]string{"AUTOMEMLIMIT": "many"}, memlimit.Limit(100 << 20), 0, before, true},
		{"turned off", map[string]string{"AUTOMEMLIMIT": "off"}, memlimit.Limit(100 << 20), 0, before, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clean(t)
			for name, value := range test.environment {
				t.Setenv(name, value)
			}
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(before))
			got, err := set(test.provider)
			if got != test.set || (err != nil) != test.fails {
				t.Errorf("set %d, %v; want %d, an error: %v", got, err, test.set, test.fails)
			}
			if after := debug.SetMemoryLimit(-1); after != test.after {
				t.Errorf("the limit is %d, want %d", after, test.after)
			}
			if errors.Is(err, memlimit.ErrNoLimit) {
				t.Error("no limit is no error")
			}
		})
	}
}

// TestMemoryOfThisProcess: the returned value for this machine's cgroup is the one that is set, and without a limit or after an error
// nothing is set. The library tests that it finds the right limit; it cannot be given another tree than the machine's.
func TestMemoryOfThisProcess(t *testing.T) {
	clean(t)
	const before = 7<<30 + 1 // nine tenths of no plausible limit
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(before))
	got, err := Memory()
	want := got
	if got == 0 || err != nil {
		want = before
	}
	if after := debug.SetMemoryLimit(-1); got < 0 || got != 0 && err != nil || after != want {
		t.Errorf("said %d, %v; set %d, want %d", got, err, after, want)
	}
	t.Logf("limit: %d bytes, %v", got, err)
}

// clean unsets the environment variables that Memory reads, until the test ends.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{goLimit, "AUTOMEMLIMIT"} {
		t.Setenv(name, "") // so that the test's end restores it
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}
