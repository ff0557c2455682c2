package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/keeper"
	"github.com/podswitch/podswitch/pod/plan"
)

// The flags of run that make it a switch alone.
const (
	keeperFlag   = "keeper"
	takeoverFlag = "takeover"
)

func runCommand() *cobra.Command {
	var (
		flags attachFlags
		alone switchFlags
	)
	c := &cobra.Command{
		Use:   "run",
		Short: "Attach the guest to the pod until asked to stop, then give the pod its address back",
		Example: `  # Give the pod's address to the guest behind tap0, which QEMU holds
  podswitch run --guest packet:tap0
  # Keep the pod's own port 8080, for probes
  podswitch run --guest packet:tap0 --keep tcp/8080
  # Go on in place of the podswitch that runs, with this version of the program, and keep another port
  podswitch run --takeover --keep tcp/9090
  # Be the unprivileged half, in a container without any capability
  podswitch run --keeper /run/podswitch/keeper/socket`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if alone.at != "" || alone.takeover {
				return alone.run(c, &flags)
			}
			if c.Flags().Changed(peerUIDFlag) || c.Flags().Changed(peerNamespaceFlag) {
				return usageError{fmt.Errorf("--%s and --%s are about a keeper in another container: they need --%s", peerUIDFlag, peerNamespaceFlag, keeperFlag)}
			}
			return runBoth(c, &flags)
		},
	}
	flags.add(c)
	alone.add(c)
	return c
}

// runBoth runs the keeper in this process, and the switch in another one.
func runBoth(c *cobra.Command, flags *attachFlags) error {
	cfg, err := flags.keeper(c)
	if err != nil {
		return err
	}
	cfg.Settings = flags.readSettings
	return keeper.Run(c.Context(), cfg, flags.log.spawnSwitch, filepath.Join(cfg.Attach.StateDir, keeperSocket))
}

// keeperSocket is the name of the socket for takeovers, in the state directory.
const keeperSocket = "keeper.sock"

// keeper is the configuration of a keeper for a guest and a pod.
func (f *attachFlags) keeper(c *cobra.Command) (keeper.Config, error) {
	attach, err := f.config(c)
	if err != nil {
		return keeper.Config{}, err
	}
	cfg := keeper.Config{Attach: &attach, Control: f.control, Owner: -1, ExitCode: exitCode, Watchdog: watchdogOf(attach.StateDir)}
	if cfg.Log, err = f.log.logger(c.ErrOrStderr()); err != nil {
		return cfg, err
	}
	settle := thrifty()
	cfg.Resolved = func(p *plan.Plan) {
		settle.Reset(settleTime) // a switch may come late
		if f.log.format.value == "json" {
			cfg.Log.Info("resolved", zap.Any("plan", p))
			return
		}
		for _, line := range p.Summary() {
			fmt.Fprintln(c.ErrOrStderr(), "podswitch:", line)
		}
	}
	return cfg, nil
}

// self is this program, also when its file has been replaced meanwhile.
const self = "/proc/self/exe"

// firstExtra is the first descriptor that a child gets beside its standard ones (os/exec, ExtraFiles).
const firstExtra = 3

// spawnSwitch is the command of the unprivileged half, whose keeper is at the other end of a socket.
func (f *logFlags) spawnSwitch(end *os.File) *exec.Cmd {
	c := exec.Command(self, "run", "--"+keeperFlag, fmt.Sprintf("fd:%d", firstExtra), "--log-level", f.level.value, "--log-format", f.format.value)
	c.Args[0] = os.Args[0]
	c.ExtraFiles, c.Stderr, c.Env = []*os.File{end}, os.Stderr, environment()
	return c
}

// environment is what of this process's own a switch may know: what Go's runtime reads, the time zone, and podswitch's own.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains(runtimeVariables, name) && !strings.HasPrefix(name, "AUTOMEMLIMIT") && !strings.HasPrefix(name, "PODSWITCH_")
	})
}

// runtimeVariables are what Go's runtime (package runtime) and time zones read, and what a binary with coverage writes to.
var runtimeVariables = []string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG", "GORACE", "GOTRACEBACK", "GOCOVERDIR", "TZ"}

// watchdogOf makes the command that restores what the state directory says when the keeper has ended.
func watchdogOf(stateDir string) func(pipe *os.File) *exec.Cmd {
	return func(pipe *os.File) *exec.Cmd {
		c := exec.Command(self, "restore", "--"+watchFlag, fmt.Sprint(firstExtra), "--state-dir", stateDir)
		c.Args[0] = os.Args[0]
		c.ExtraFiles, c.Stderr = []*os.File{pipe}, os.Stderr
		return c
	}
}
