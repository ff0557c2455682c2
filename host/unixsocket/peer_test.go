package unixsocket

import "testing"

// TestDescribe: a process has a number only for those that can see it.
func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		pid, uid int
		want     string
	}{
		{4711, 0, "process 4711"},
		{1, 107, "process 1"},
		{0, 107, "a process in another container (user 107)"},
	} {
		if got := Describe(c.pid, c.uid); got != c.want {
			t.Errorf("process %d of user %d: %q, want %q", c.pid, c.uid, got, c.want)
		}
	}
}
