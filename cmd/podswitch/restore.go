package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/podnet"
)

// watchdogFlag makes restore the watchdog of a keeper.
const watchdogFlag = "when-closed"

func restoreCommand() *cobra.Command {
	var (
		dir  string
		pipe int
	)
	c := &cobra.Command{
		Use:   "restore",
		Short: "Restore the pod interface from the state file of a podswitch that was killed",
		Long: "Restore the pod interface from the state file of a podswitch that was killed with all its processes. Without a state file,\n" +
			"restore changes nothing. It refuses while that podswitch is running.",
		Example: "  podswitch restore",
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if pipe >= 0 {
				return watchKeeper(pipe, dir)
			}
			report, err := podnet.Restore(dir)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), report)
			return err
		},
	}
	c.Flags().StringVar(&dir, "state-dir", defaultStateDir(), "`DIRECTORY` of the state file")
	c.Flags().IntVar(&pipe, watchdogFlag, -1, "Wait until the other end of the pipe with this descriptor `NUMBER` is closed")
	_ = c.Flags().MarkHidden(watchdogFlag) // only the keeper uses it
	return c
}

// A process that is killed releases its locks and addresses one after the other. The watchdog retries meanwhile.
const (
	watchdogAttempts = 100
	watchdogPause    = 10 * time.Millisecond
)

// watchKeeper waits until the keeper has ended and restores the pod interface if the keeper has not done so.
func watchKeeper(pipe int, dir string) (err error) {
	if _, err := io.Copy(io.Discard, os.NewFile(uintptr(pipe), "pipe")); err != nil {
		return fmt.Errorf("watch the keeper: %w", err)
	}
	for range watchdogAttempts {
		if _, err = podnet.Restore(dir); !errors.Is(err, podnet.ErrLocked) && !errors.Is(err, podnet.ErrTaken) {
			return err
		}
		time.Sleep(watchdogPause)
	}
	return err
}
