package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/supervise"
)

// supervisedFlag marks a process whose parent starts it again when it is killed.
const supervisedFlag = "supervised"

// exitAgain is the exit code with which a supervised switch asks for another start (EX_TEMPFAIL in sysexits.h). No user sees it.
const exitAgain = 75

// superviseFlags are the flags of commands that may have a supervisor.
type superviseFlags struct {
	mode    *choice
	isChild bool // this is the supervised process
}

func (f *superviseFlags) add(c *cobra.Command) {
	f.mode = newChoice("auto", "on", "off")
	c.Flags().Var(f.mode, "supervise", "Run the keeper as a child process, and start it again when it is killed; auto: if this is the first process of a container")
	c.Flags().BoolVar(&f.isChild, supervisedFlag, false, "The parent starts this process again")
	_ = c.Flags().MarkHidden(supervisedFlag)
}

// isWanted reports whether this process is to be a supervisor.
func (f *superviseFlags) isWanted() bool {
	return !f.isChild && (f.mode.value == "on" || f.mode.value == "auto" && os.Getpid() == 1)
}

// superviseKeeper runs the keeper as a child, which has the same command line. A keeper that is killed or panics is started again. A keeper
// that ends with an exit code is not: the code says why, and whatever has started this process decides.
func superviseKeeper(c *cobra.Command, flags *runFlags) error {
	return superviseSelf(c, &flags.log, func(int) bool { return false })
}

// superviseSelf runs this command in a child process.
func superviseSelf(c *cobra.Command, log *logFlags, again func(code int) bool) error {
	logger, err := log.logger(c.ErrOrStderr())
	if err != nil {
		return err
	}
	args, err := supervisedArgs(os.Args, c.Name())
	if err != nil {
		return err
	}
	saveMemory()
	err = supervise.Run(c.Context(), supervise.Config{Path: self, Args: args, Again: again, Log: logger})
	var exit *supervise.ExitError
	if errors.As(err, &exit) {
		return silentError{err} // the child has printed the reason
	}
	return err
}

// supervisedArgs returns the command line of this process with the flag of a supervised process behind the name of its subcommand.
func supervisedArgs(args []string, subcommand string) ([]string, error) {
	i := slices.Index(args, subcommand)
	if i < 1 {
		return nil, fmt.Errorf("the command line of this process has no %s: %q", subcommand, args)
	}
	return slices.Insert(slices.Clone(args), i+1, "--"+supervisedFlag), nil
}

// crashBySignal makes a panic end this process by a signal, without a core file, so that its supervisor starts it again. By default a panic
// ends a process with exit code 2, which means an invalid command line here.
func crashBySignal() {
	debug.SetTraceback("crash")
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &limit) == nil {
		limit.Cur = 0
		_ = unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	}
}
