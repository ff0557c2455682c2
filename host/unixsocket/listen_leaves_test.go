package unixsocket

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestListenLeavesNothing: the directories that Listen has made go with the socket, and with the error of a socket that cannot be made.
func TestListenLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	made := filepath.Join(dir, "a")
	gone := func(when string) {
		t.Helper()
		if _, err := os.Lstat(made); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s, %s is there: %v", when, made, err)
		}
	}
	spec := Spec{Path: filepath.Join(made, "b", "socket"), Owner: -1, Name: "test socket", Flag: "--test"}
	l, err := Listen(spec)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	gone("after Close")
	spec.Path += "/"
	if l, err := Listen(spec); err == nil {
		l.Close()
		t.Error("a path with a slash at the end is accepted")
	}
	gone("after an error")
	if err := os.Mkdir(made, 0o700); err != nil {
		t.Fatal(err)
	}
	spec.Path = filepath.Join(made, "b", "socket")
	if l, err = Listen(spec); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(made, "b", "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := os.Stat(filepath.Join(made, "b", "other")); err != nil {
		t.Errorf("another file is lost: %v", err)
	}
}
