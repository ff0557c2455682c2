package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// dialError returns the error for a failed connection to the keeper's socket at path. isTakeover says that the path is that of podswitch run.
func dialError(path string, isTakeover bool, err error) error {
	if cause := (*net.OpError)(nil); errors.As(err, &cause) {
		err = cause.Err
	}
	e := &missing.Error{What: "connect to the keeper at " + path, Need: "a keeper that listens there", Err: err}
	switch {
	case errors.Is(err, unix.EACCES):
		e.Need = fmt.Sprintf("permission for user %d to use the socket", os.Geteuid())
		e.Give = "set runAsUser to the user in podswitch keeper --peer-uid, and put the socket in a volume of its own and not in the state directory"
		if isTakeover {
			e.Give = "run as root, or as the user of the running podswitch"
		}
	case isTakeover:
		e.Give = "start podswitch run first, or name its directory with --state-dir"
	case isDirectory(filepath.Dir(path)):
		e.Give = "start podswitch keeper first, with --listen " + path
	default:
		e.Give = "mount the volume of podswitch keeper --listen in this container too, with volumeMounts, or name another path with --keeper"
	}
	return e
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
