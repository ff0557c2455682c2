package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// self is this program, also when its file has been replaced meanwhile.
const self = "/proc/self/exe"

// firstExtra is the first descriptor that a child gets beside its standard ones (os/exec, ExtraFiles).
const firstExtra = 3

// switchCommandLine is the command of the unprivileged half, whose keeper is at the other end of a socket.
func (f *logFlags) switchCommandLine(end *os.File) *exec.Cmd {
	c := exec.Command(self, "run", "--"+keeperFlag, fmt.Sprintf("fd:%d", firstExtra), "--log-level", f.level.value, "--log-format", f.format.value)
	c.Args[0] = os.Args[0]
	c.ExtraFiles, c.Stderr, c.Env = []*os.File{end}, os.Stderr, switchEnvironment()
	return c
}

// environment is what of this process's own a switch may know: what Go's runtime reads, the time zone, and podswitch's own.
func switchEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains(runtimeVariables, name) && !strings.HasPrefix(name, "AUTOMEMLIMIT") && !strings.HasPrefix(name, "PODSWITCH_")
	})
}

// runtimeVariables are what Go's runtime (package runtime) and time zones read, and what a binary with coverage writes to.
var runtimeVariables = []string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG", "GORACE", "GOTRACEBACK", "GOCOVERDIR", "TZ"}

// watchdogCommand makes the command that restores what the state directory says when the keeper has ended.
func watchdogCommand(stateDir string) func(pipe *os.File) *exec.Cmd {
	return func(pipe *os.File) *exec.Cmd {
		c := exec.Command(self, "restore", "--"+watchdogFlag, fmt.Sprint(firstExtra), "--state-dir", stateDir)
		c.Args[0] = os.Args[0]
		c.ExtraFiles, c.Stderr = []*os.File{pipe}, os.Stderr
		return c
	}
}
