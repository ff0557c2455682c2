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

func restoreCommand() *cobra.Command {
	var (
		dir  string
		pipe int
	)
	c := &cobra.Command{
		Use:   "restore",
		Short: "Put the pod interface back from the state file of a run that was killed; harmless to repeat",
		Args:  exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if pipe >= 0 {
				return watchKeeper(pipe, dir)
			}
			report, err := podnet.Restore(dir)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), report)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "state-dir", defaultStateDir(), "Directory of the state file")
	c.Flags().IntVar(&pipe, watchdogFlag, -1, "Descriptor of a pipe: restore when nobody has its other end any more")
	_ = c.Flags().MarkHidden(watchdogFlag) // it is for podswitch itself
	return c
}

// watchdogFlag makes restore the watchdog of a keeper.
const watchdogFlag = "when-closed"

// Bounds of a watchdog's attempts: a process that ends lets go of its files one after the other.
const (
	watchAttempts = 100
	watchPause    = 10 * time.Millisecond
)

// watchKeeper waits until the keeper has ended, and puts back what it has left. A keeper that gave back has left nothing.
func watchKeeper(pipe int, dir string) (err error) {
	if _, err := io.Copy(io.Discard, os.NewFile(uintptr(pipe), "pipe")); err != nil {
		return fmt.Errorf("watch the keeper: %w", err)
	}
	for range watchAttempts {
		if _, err = podnet.Restore(dir); !errors.Is(err, podnet.ErrLocked) && !errors.Is(err, podnet.ErrTaken) {
			return err
		}
		time.Sleep(watchPause)
	}
	return err
}
