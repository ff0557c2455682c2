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

// switchFlags are the flags of run that apply to the switch alone.
type switchFlags struct {
	keeper   string // path of the keeper's socket, or fd:N
	takeover bool
	peers    peerFlags
}

func (f *switchFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.keeper, keeperFlag, "", "Run only the switch, without privileges, for the keeper that listens at this `PATH`; the keeper has all other settings")
	c.Flags().BoolVar(&f.takeover, takeoverFlag, false, "Replace the running switch; if any of --vm, --interface, --guest-mac, --hold-after, --keep and --deny is given, this command line replaces all six")
	f.peers.add(c)
}

// check rejects flags whose setting belongs to the keeper.
func (f *switchFlags) check(c *cobra.Command) (err error) {
	own := []string{keeperFlag, takeoverFlag, "log-level", "log-format", peerUIDFlag, peerNamespaceFlag}
	if f.takeover {
		own = append(own, settingsFlags()...)
	}
	with := keeperFlag
	if f.keeper == "" {
		with = takeoverFlag
		own = append(own, "state-dir") // the directory of the keeper's socket
	}
	c.Flags().Visit(func(flag *pflag.Flag) {
		if !slices.Contains(own, flag.Name) {
			err = usageError{fmt.Errorf("--%s cannot be combined with --%s: set it on the keeper", flag.Name, with)}
		}
	})
	return err
}

// run runs the switch in this process.
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
	at := f.keeper
	if at == "" {
		at = filepath.Join(flags.cfg.StateDir, keeperSocket)
	}
	child := false
	if cfg.Conn, child, err = f.connect(at); err != nil {
		return err
	}
	if err := dataplane.Run(c.Context(), cfg); err != nil && child {
		return silentError{err} // the parent prints it
	} else {
		return err
	}
}

// A silentError is an error that another process prints.
type silentError struct{ error }

func (e silentError) Unwrap() error { return e.error }

// connect connects to the keeper: at a path, or at a descriptor that this process inherits from the keeper, whose child it then is.
func (f *switchFlags) connect(at string) (conn *grant.Conn, child bool, err error) {
	if number, ok := strings.CutPrefix(at, "fd:"); ok {
		fd, err := strconv.ParseUint(number, 10, 31)
		if err != nil {
			return nil, false, usageError{fmt.Errorf("--%s %s: want the path of a socket or fd:N", keeperFlag, at)}
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
		return nil, false, &missing.Error{What: "connect to the keeper at " + at, Need: "a keeper that listens there", Err: err,
			Give: "start podswitch run or podswitch keeper first"}
	}
	peers, err := f.peers.peers()
	if err == nil {
		_, err = peers.Check(socket)
	}
	if err != nil {
		socket.Close()
		return nil, false, fmt.Errorf("connect to the keeper at %s: %w", at, err)
	}
	return grant.NewConn(socket), false, nil
}
