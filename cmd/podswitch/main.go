// Podswitch connects a virtual machine to the network of the Kubernetes pod that it runs in. It moves the pod's IP address to the
// guest, or bridges the guest to the pod's interface.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/host/limits"
)

// blockedThreads is the number of threads that are expected to block in system calls at the same time. The Go scheduler takes
// milliseconds to release the processor of such a thread; until then other goroutines need another one.
const blockedThreads = 2

func main() {
	// Signals stay caught until the process ends, so that a second one does not interrupt the give-back. A broken pipe on stderr
	// must not end the process before it has given the address back.
	signal.Ignore(syscall.SIGPIPE)
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + blockedThreads)
	_, _ = limits.Memory() // on error, the garbage collector keeps its defaults
	ctx, _ := signal.NotifyContext(context.Background(), stopSignals()...)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// stopSignals returns the signals that ask to stop. A signal that is ignored from the start remains ignored, as nohup(1) and the
// background jobs of a shell require.
func stopSignals() []os.Signal {
	all := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}
	return slices.DeleteFunc(all, signal.Ignored)
}

// dieBySignal restores the default action of stop signals, for commands that have nothing to give back.
func dieBySignal(c *cobra.Command, _ []string) error {
	signal.Reset(stopSignals()...)
	return c.Context().Err() // a signal may have arrived before the reset
}

const rootLong = `podswitch connects a virtual machine to the network of the Kubernetes pod that it runs in. It takes the pod's IP
address off the pod's interface and gives it to the guest by DHCP. When podswitch ends, it restores the interface.

Exit codes: 0 success, or run was asked to stop; 1 failure; 2 invalid command line or VM document; 3 a privilege, a device or a
kernel feature is missing, or in use by another process.`

const rootExample = `  # Show what run would do, without changing anything
  podswitch plan --guest packet:tap0
  # Give the pod address to the guest behind tap0, until Ctrl-C
  podswitch run --guest packet:tap0
  # Show the lease, and frames and drops of each port
  podswitch status`

// run is main with its environment passed in. It returns the exit code. Data goes to stdout, messages go to stderr.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	messages := newMessages(stderr)
	defer messages.flush()
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	out := &firstError{w: stdout}
	root.SetOut(out)
	printable := printableWriter{messages}
	root.SetErr(printable)
	addCompletion(root)
	err := out.failure(root.ExecuteContext(ctx))
	var silent silentError
	if err != nil && !errors.As(err, &silent) {
		printError(printable, err, args)
	}
	return exitCode(err)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "podswitch",
		Short:         "Connect a virtual machine to the network of its pod",
		Long:          rootLong,
		Example:       rootExample,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE:          printVersionOr(unknownCommand),
	}
	root.SetHelpCommand(helpCommand())
	root.AddCommand(runCommand(), keeperCommand(), restoreCommand(), switchCommand())
	for _, c := range []*cobra.Command{planCommand(), statusCommand(), fdbCommand(), checkCommand(), replayCommand(), qemuArgsCommand(),
		libvirtXMLCommand(), versionCommand()} {
		c.PreRunE = dieBySignal
		root.AddCommand(c)
	}
	for _, c := range append(root.Commands(), root) {
		c.Flags().BoolP("help", "h", false, "Print this help")
		completeChoices(c)
	}
	root.Flags().Bool("version", false, "Print the version")
	root.SetFlagErrorFunc(flagError)
	return root
}
