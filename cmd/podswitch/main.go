// Podswitch connects one virtual machine to the network of the pod that it runs in: it moves the pod's IP address to the
// guest, or bridges the guest to the pod's interface.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/host/limits"
)

// blockedThreads is the number of ports that are expected to wait in a system call of their own at the same time. The scheduler
// takes some milliseconds to notice that such a thread needs no turn; meanwhile the other goroutines need theirs.
const blockedThreads = 2

func main() {
	// A signal only asks to stop. It stays caught until the process ends, so that a second one interrupts nothing. A reader of
	// our messages that went away is no reason to end at all: the address has to be given back first.
	signal.Ignore(syscall.SIGPIPE)
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + blockedThreads)
	_, _ = limits.Memory() // without it, Go collects as it always does
	ctx, _ := signal.NotifyContext(context.Background(), stopSignals()...)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// stopSignals are the signals that ask to stop. One that is ignored from the start stays so: nohup(1), and a shell's background jobs.
func stopSignals() []os.Signal {
	all := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}
	return slices.DeleteFunc(all, signal.Ignored)
}

// dieBySignal makes a command end by a signal wherever it is, as programs do: it has nothing to give back, and may be reading for ever.
func dieBySignal(c *cobra.Command, _ []string) error {
	signal.Reset(stopSignals()...)
	return c.Context().Err() // of a signal that has come already
}

// run is main with everything passed in; it returns the exit code. Data goes to stdout, messages to stderr.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	messages := newMessages(stderr)
	defer messages.flush()
	root := &cobra.Command{
		Use:           "podswitch",
		Short:         "Connect a virtual machine to the network of its pod",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE:          unknownCommand,
	}
	root.AddCommand(runCommand(), keeperCommand(), restoreCommand(), switchCommand())
	for _, c := range []*cobra.Command{planCommand(), statusCommand(), fdbCommand(), checkCommand(), replayCommand(), qemuArgsCommand(),
		libvirtXMLCommand(), versionCommand()} {
		c.PreRunE = dieBySignal
		root.AddCommand(c)
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(messages)
	err := root.ExecuteContext(ctx)
	var silent silentError
	if err != nil && !errors.As(err, &silent) {
		fmt.Fprintf(messages, "podswitch: %v\n", err)
	}
	return exitCode(err)
}
