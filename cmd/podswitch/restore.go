package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/podnet"
)

// The flags that make restore the watchdog of a keeper.
const (
	watchdogFlag         = "when-closed"
	watchdogHoldFlag     = "hold"
	watchdogHoldStopFlag = "hold-stop"
)

func restoreCommand() *cobra.Command {
	var (
		dir        string
		w          watchdog
		supervised bool
		log        logFlags
	)
	c := &cobra.Command{
		Use:   "restore",
		Short: "Restore the pod interface from the state file of a podswitch that was killed",
		Long: "Restore the pod interface from the state file of a podswitch that was killed with all its processes. Without a state file,\n" +
			"restore changes nothing. It refuses while that podswitch is running.",
		Example: "  podswitch restore",
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if w.end >= 0 {
				if w.log, err = log.logger(c.ErrOrStderr()); err != nil {
					return err
				}
				w.dir, w.isDoomed = dir, supervised || os.Getppid() == 1
				return w.run(c.Context())
			}
			report, err := podnet.Restore(dir)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(printableWriter{c.OutOrStdout()}, report)
			return err
		},
	}
	c.Flags().StringVar(&dir, "state-dir", defaultStateDir(), "`DIRECTORY` of the state file")
	c.Flags().IntVar(&w.end, watchdogFlag, -1, "Wait until the other end of the socket pair with this descriptor `NUMBER` is closed")
	c.Flags().DurationVar(&w.hold, watchdogHoldFlag, 0, "Wait for this `DURATION` after that, for another keeper")
	c.Flags().DurationVar(&w.holdStop, watchdogHoldStopFlag, 0, "The same after a stop of the keeper that leaves the address taken")
	c.Flags().BoolVar(&supervised, supervisedFlag, false, "The parent of the keeper starts it again")
	log.add(c)
	for _, name := range []string{watchdogFlag, watchdogHoldFlag, watchdogHoldStopFlag, supervisedFlag, logLevelFlag, logFormatFlag} {
		_ = c.Flags().MarkHidden(name) // only the keeper uses it
	}
	return c
}
