package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/podswitch/podswitch/pod/dataplane"
	"github.com/podswitch/podswitch/pod/grant"
)

// switchFlags are the flags of run that apply to the switch alone.
type switchFlags struct {
	keeper     string // path of the keeper's socket, or fd:N
	takeover   bool
	supervised bool // a supervisor starts this process again when it is killed, and when it ends with exitAgain
	wait       time.Duration
	peers      peerFlags
}

func (f *switchFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.keeper, keeperFlag, "", "Run only the switch, without privileges, for the keeper that listens at this `PATH`; the keeper has all other settings")
	c.Flags().BoolVar(&f.takeover, takeoverFlag, false, "Replace the running switch; if any of --vm, --interface, --guest-mac, --hold-after, --keep and --deny is given, this command line replaces all six")
	c.Flags().DurationVar(&f.wait, waitFlag, defaultWait, "With --keeper: `DURATION` for which no keeper may be there; 0s: end at once if there is none, and with the keeper")
	f.peers.add(c)
}

// check rejects flags whose setting belongs to the keeper.
func (f *switchFlags) check(c *cobra.Command) (err error) {
	if f.wait < 0 {
		return usageError{fmt.Errorf("--%s %s: want 0s or more", waitFlag, f.wait)}
	}
	own := []string{keeperFlag, takeoverFlag, logLevelFlag, logFormatFlag, peerUIDFlag, peerNamespaceFlag, supervisedFlag}
	if f.keeper != "" && !f.takeover {
		own = append(own, waitFlag)
	}
	if f.takeover {
		own = append(own, settingsFlags()...)
	}
	with, remedy := keeperFlag, "set it on the keeper"
	if f.keeper == "" {
		with, remedy = takeoverFlag, "restart podswitch with it, or the keeper if that runs alone"
		own = append(own, "state-dir") // the directory of the keeper's socket
	}
	c.Flags().Visit(func(flag *pflag.Flag) {
		if !slices.Contains(own, flag.Name) {
			err = usageError{fmt.Errorf("--%s cannot be combined with --%s: %s", flag.Name, with, remedy)}
		}
	})
	return err
}

// run runs the switch in this process.
func (f *switchFlags) run(c *cobra.Command, flags *runFlags) error {
	if err := f.check(c); err != nil {
		return err
	}
	cfg, err := f.config(c, flags)
	if err != nil {
		return err
	}
	if number, ok := strings.CutPrefix(f.keeper, "fd:"); ok {
		if cfg.Conn, err = inheritedConn(number); err != nil {
			return err
		}
		if err := dataplane.Run(c.Context(), cfg); err != nil {
			return silentError{err}
		}
		return nil
	}
	outliveTerminal()
	if f.stays() {
		return f.stay(c, flags, cfg)
	}
	path := f.keeper
	if path == "" {
		path = filepath.Join(flags.cfg.StateDir, keeperSocket)
	}
	if cfg.Conn, err = f.dial(path); err != nil {
		return err
	}
	return dataplane.Run(c.Context(), cfg)
}

// outliveTerminal ignores SIGHUP. A switch that its keeper has not started, such as one that takes over, may have been started in a terminal.
// The end of that terminal must end neither the guest's network nor the keeper.
func outliveTerminal() { signal.Ignore(syscall.SIGHUP) }

// config returns the configuration of the switch, without its session.
func (f *switchFlags) config(c *cobra.Command, flags *runFlags) (cfg dataplane.Config, err error) {
	cfg = dataplane.Config{Version: version, Takeover: f.takeover, EnterSandbox: enterSandbox, ExitCode: exitCode}
	if f.takeover {
		settings, err := flags.settings(c)
		if err != nil {
			return cfg, err
		}
		if cfg.EncodedSettings, err = settings.Encode(); err != nil {
			return cfg, err
		}
	}
	cfg.Log, err = flags.log.logger(c.ErrOrStderr())
	return cfg, err
}

// A silentError is an error that this process does not print: another process prints it, or it is only an exit code.
type silentError struct{ error }

func (e silentError) Unwrap() error { return e.error }

// inheritedConn returns the session at a descriptor that this process inherits from the keeper.
func inheritedConn(number string) (*grant.Conn, error) {
	fd, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return nil, usageError{fmt.Errorf("--%s fd:%s: want the path of a socket or fd:N", keeperFlag, number)}
	}
	return grant.FromFile(os.NewFile(uintptr(fd), "fd:"+number))
}

// dial connects to the keeper that listens at path. It closes inherited descriptors before.
func (f *switchFlags) dial(path string) (*grant.Conn, error) {
	if err := closeInheritedFiles(); err != nil {
		return nil, err
	}
	socket, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, dialError(path, f.keeper == "", err)
	}
	peers, err := f.peers.peers()
	if err == nil {
		_, err = peers.Check(socket)
	}
	if err != nil {
		socket.Close()
		return nil, fmt.Errorf("connect to the keeper at %s: %w", path, err)
	}
	return grant.NewConn(socket), nil
}
