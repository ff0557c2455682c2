package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/pod/dataplane"
	"github.com/podswitch/podswitch/pod/grant"
)

// switchFlags are those of the unprivileged half.
type switchFlags struct {
	at       string // socket of the keeper, or fd:N
	takeover bool
	peers    peerFlags
}

func (f *switchFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.at, keeperFlag, "", "Be a switch without privileges, with the keeper that listens at this socket, which says everything else")
	c.Flags().BoolVar(&f.takeover, takeoverFlag, false, "Go on in place of the switch that runs; with any of --vm, --interface, --guest-mac, --hold-after, --keep and --deny, all of them are as said here")
	f.peers.add(c)
}

// check finds flags that are for a keeper to say.
func (f *switchFlags) check(c *cobra.Command) (err error) {
	own := []string{keeperFlag, takeoverFlag, "log-level", "log-format", peerUIDFlag, peerNamespaceFlag}
	if f.takeover {
		own = append(own, settingsFlags()...)
	}
	if f.at == "" {
		own = append(own, "state-dir") // where the keeper's socket is
	}
	c.Flags().Visit(func(flag *pflag.Flag) {
		if !slices.Contains(own, flag.Name) {
			err = usageError{fmt.Errorf("--%s is for the keeper to say: it is of no use here", flag.Name)}
		}
	})
	return err
}

// run is the unprivileged half.
func (f *switchFlags) run(c *cobra.Command, flags *runFlags) error {
	if err := f.check(c); err != nil {
		return err
	}
	cfg := dataplane.Config{Takeover: f.takeover, LockIn: enterSandbox, ExitCode: exitCode}
	var err error
	if f.takeover {
		settings, err := flags.settings(c)
		if err != nil {
			return err
		}
		if cfg.Settings, err = settings.Encode(); err != nil {
			return err
		}
	}
	if cfg.Log, err = flags.log.logger(c.ErrOrStderr()); err != nil {
		return err
	}
	at := f.at
	if at == "" {
		at = filepath.Join(flags.cfg.StateDir, keeperSocket)
	}
	child := false
	if cfg.Conn, child, err = f.connect(at); err != nil {
		return err
	}
	if err := dataplane.Run(c.Context(), cfg); err != nil && child {
		return silentError{err} // the keeper says it
	} else {
		return err
	}
}

// A silentError is one that another process tells of.
type silentError struct{ error }

func (e silentError) Unwrap() error { return e.error }

// connect finds the keeper. One that passed a descriptor on is the parent of this process.
func (f *switchFlags) connect(at string) (conn *grant.Conn, child bool, err error) {
	if number, ok := strings.CutPrefix(at, "fd:"); ok {
		fd, err := strconv.ParseUint(number, 10, 31)
		if err != nil {
			return nil, false, usageError{fmt.Errorf("--%s %s: want the path of a socket, or fd:N", keeperFlag, at)}
		}
		conn, err := grant.FromFile(os.NewFile(uintptr(fd), at))
		return conn, true, err
	}
	if err := closeInheritedFiles(); err != nil {
		return nil, false, err
	}
	socket, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: at, Net: "unix"})
	if err != nil {
		var cause *net.OpError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, false, &missing.Error{What: "find the keeper at " + at, Need: "one that listens there", Err: err,
			Give: "start podswitch keeper, or podswitch run as the user that may take the address"}
	}
	peers, err := f.peers.peers()
	if err == nil {
		_, err = peers.Check(socket)
	}
	if err != nil {
		socket.Close()
		return nil, false, fmt.Errorf("the keeper at %s: %w", at, err)
	}
	return grant.NewConn(socket), false, nil
}
