package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// TestDialError: the error names the flag, and what the container of the switch lacks.
func TestDialError(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, path string
		isTakeover bool
		cause      error
		want       string
	}{
		{"no volume", filepath.Join(dir, "none", "socket"), false, unix.ENOENT, "(mount the volume of podswitch keeper --listen in this container too, with volumeMounts, or name another path with --keeper)"},
		{"no keeper yet", filepath.Join(dir, "socket"), false, unix.ENOENT, "(start podswitch keeper first, with --listen " + dir},
		{"a keeper that was killed", filepath.Join(dir, "socket"), false, unix.ECONNREFUSED, "(start podswitch keeper first, with --listen " + dir},
		{"another user's", filepath.Join(dir, "socket"), false, unix.EACCES, "runAsUser to the user in podswitch keeper --peer-uid"},
		{"no run", filepath.Join(dir, "keeper.sock"), true, unix.ENOENT, "(start podswitch run first, or name its directory with --state-dir)"},
		{"another user's run", filepath.Join(dir, "keeper.sock"), true, unix.EACCES, "(run as root, or as the user of the running podswitch)"},
	} {
		err := dialError(c.path, c.isTakeover, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", c.cause)})
		var lacks *missing.Error
		if !errors.As(err, &lacks) || !errors.Is(err, c.cause) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "connect to the keeper at "+c.path) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
