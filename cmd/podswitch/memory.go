package main

import (
	"os"
	"runtime/debug"
	"time"

	"github.com/podswitch/podswitch/host/limits"
)

// lowGCPercent lets a process collect that has a live heap of one megabyte and allocates little: with Go's own 100, garbage is
// collected from 4 MiB on, which is all that it would ever use.
const lowGCPercent = 25

// settleTime is after what time a process is done with what it has begun: a start takes a twentieth of it, and must not be slower
// for what follows it.
const settleTime = time.Second

// saveMemory keeps the memory of a process small that does nothing in a hurry: it collects early, unless GOGC says otherwise, and lets go
// of what starting up has left when the timer says so, which may be set again.
func saveMemory() *time.Timer {
	if _, said := os.LookupEnv("GOGC"); !said {
		debug.SetGCPercent(lowGCPercent)
	}
	return time.AfterFunc(settleTime, func() {
		debug.FreeOSMemory()
		program, _ := limits.FindProgram() // where it cannot be found, nothing is lost but memory
		_ = program.LetGo()
	})
}
