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

// waitingPorts is the number of ports that are expected to wait in a system call of their own at the same time. The scheduler
// takes some milliseconds to notice that such a thread needs no turn; meanwhile the other goroutines need theirs.
const waitingPorts = 2

func main() {
	// A signal only asks to stop. It stays caught until the process ends, so that a second one interrupts nothing. A reader of
	// our messages that went away is no reason to end at all: the address has to be given back first.
	signal.Ignore(syscall.SIGPIPE)
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + waitingPorts)
	_, _ = limits.Memory() // without it, Go collects as it always does
	ctx, _ := signal.NotifyContext(context.Background(), heeded()...)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// heeded are the signals that ask to stop. One that is ignored from the start stays so: nohup(1), and a shell's background jobs.
func heeded() []os.Signal {
	all := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}
	return slices.DeleteFunc(all, signal.Ignored)
}

// endBySignal makes a command end by a signal wherever it is, as programs do: it has nothing to give back, and may be reading for ever.
func endBySignal(c *cobra.Command, _ []string) error {
	signal.Reset(heeded()...)
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
		c.PreRunE = endBySignal
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

// unknownCommand is what the command without a known verb does.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{fmt.Errorf("a command is missing: see podswitch --help")}
	}
	root.SuggestionsMinimumDistance = 2
	hint := "see podswitch --help"
	if like := root.SuggestionsFor(args[0]); len(like) > 0 {
		hint = fmt.Sprintf("did you mean %q?", like[0])
	}
	return usageError{fmt.Errorf("unknown command %q: %s", args[0], hint)}
}
