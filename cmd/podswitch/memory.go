package main

import (
	"os"
	"runtime/debug"
	"time"

	"github.com/podswitch/podswitch/host/limits"
)

// lowGCPercent is the GC target of a process with a live heap of about one megabyte that allocates little. With Go's default of 100,
// the first collection starts at a heap of 4 MiB, which is as much as such a process would ever use.
const lowGCPercent = 25

// settleTime is the time after which a process has finished its start. A start takes about a twentieth of it, and work that only
// saves memory must not delay it.
const settleTime = time.Second

// saveMemory reduces the memory of a process that is not time-critical. It makes the collector run early, unless the user has
// set GOGC, and releases the memory of the start when the timer that it returns fires. The caller may reset the timer.
func saveMemory() *time.Timer {
	if _, isSet := os.LookupEnv("GOGC"); !isSet {
		debug.SetGCPercent(lowGCPercent)
	}
	return time.AfterFunc(settleTime, func() {
		debug.FreeOSMemory()
		program, _ := limits.FindProgram() // on error, Release does nothing
		_ = program.Release()
	})
}
