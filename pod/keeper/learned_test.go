package keeper

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOnlyAnOwnReportIsRead checks that the report of what a switch has learned is not read if another user may have written it, and that
// a FIFO in its place does not block.
func TestOnlyAnOwnReportIsRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files to another user")
	}
	write := func(path string) error { return os.WriteFile(path, []byte("{}"), 0o600) }
	for name, test := range map[string]struct {
		create func(path string) error
		read   bool
	}{
		"own":          {write, true},
		"a FIFO":       {func(path string) error { return unix.Mkfifo(path, 0o600) }, false},
		"another user": {func(path string) error { _ = write(path); return os.Chown(path, 4711, 0) }, false},
		"writable":     {func(path string) error { _ = write(path); return os.Chmod(path, 0o666) }, false},
	} {
		dir := t.TempDir()
		if err := test.create(filepath.Join(dir, learnedName)); err != nil {
			t.Fatal(err)
		}
		if text := readLearned(dir); (text != nil) != test.read {
			t.Errorf("%s: read %q", name, text)
		}
	}
}
