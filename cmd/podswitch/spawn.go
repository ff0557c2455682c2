package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// self is the running program, even if its file has been replaced since.
const self = "/proc/self/exe"

// firstExtra is the number of the first of ExtraFiles in the child (os/exec).
const firstExtra = 3

// lastMessages is how long the messages of a switch that has ended are awaited.
const lastMessages = 100 * time.Millisecond

// switchCommandLine returns the command that starts a switch. end is the switch's end of the session with its keeper.
func (f *logFlags) switchCommandLine(end *os.File) *exec.Cmd {
	c := exec.Command(self, "run", "--"+keeperFlag, fmt.Sprintf("fd:%d", firstExtra), "--log-level", f.level.value, "--log-format", f.format.value)
	c.Args[0] = os.Args[0]
	// The switch handles input of the guest, so that its messages pass through this process, which escapes them. A switch that was broken
	// into may have passed its end of the pipe to another process, so that the end of the pipe is not awaited for long.
	c.ExtraFiles, c.Stderr, c.Env = []*os.File{end}, f.out, switchEnvironment()
	c.WaitDelay = lastMessages
	// A stopped switch that goes on after its keeper was killed would answer what waits in its queues, beside the kernel.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// switchEnvironment returns the environment of a switch: variables of Go's runtime, the time zone, and podswitch's own. The switch
// handles frames of the guest and must not know any secret.
func switchEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains(runtimeVariables, name) && !strings.HasPrefix(name, "AUTOMEMLIMIT") && !strings.HasPrefix(name, "PODSWITCH_")
	})
}

// runtimeVariables are the variables of Go's runtime (package runtime), of time zones, and of binaries with coverage.
var runtimeVariables = []string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG", "GORACE", "GOTRACEBACK", "GOCOVERDIR", "TZ"}

// watchdogCommand returns a function that returns the command of a watchdog. The watchdog restores the pod interface from the
// state file in stateDir when the other end of a socket pair, which the keeper has, has been closed for the hold time.
func (f *runFlags) watchdogCommand(stateDir string) func(end *os.File) *exec.Cmd {
	args := []string{"restore", "--state-dir", stateDir, "--" + watchdogFlag, fmt.Sprint(firstExtra),
		"--" + watchdogHoldFlag, f.holdKeeper.String(), "--" + watchdogHoldStopFlag, f.holdStop.String(),
		"--" + logLevelFlag, f.log.level.value, "--" + logFormatFlag, f.log.format.value}
	if f.supervised {
		args = append(args, "--"+supervisedFlag)
	}
	return func(end *os.File) *exec.Cmd {
		c := exec.Command(self, args...)
		c.Args[0] = os.Args[0]
		c.ExtraFiles, c.Stderr = []*os.File{end}, os.Stderr
		return c
	}
}
