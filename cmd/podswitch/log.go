package main

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	logLevelFlag  = "log-level"
	logFormatFlag = "log-format"
)

// logFlags are the flags of commands that keep running.
type logFlags struct {
	level, format *choice
	out           io.Writer // where logger writes
}

func (f *logFlags) add(c *cobra.Command) {
	f.level, f.format = newChoice("info", "debug", "warn", "error"), newChoice("console", "json")
	c.Flags().Var(f.level, logLevelFlag, "Lowest level of log messages to print")
	c.Flags().Var(f.format, logFormatFlag, "Format of log messages")
}

func (f *logFlags) logger(w io.Writer) (*zap.Logger, error) {
	f.out = w
	level, err := zapcore.ParseLevel(f.level.value)
	if err != nil {
		return nil, err
	}
	return zap.New(limitRepeats(zapcore.NewCore(newEncoder(f.format.value), zapcore.Lock(zapcore.AddSync(w)), level))), nil
}

// newEncoder returns the encoder of a format of log messages.
func newEncoder(format string) zapcore.Encoder {
	if format == "json" {
		return zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	}
	return zapcore.NewConsoleEncoder(zapcore.EncoderConfig{
		TimeKey: "time", MessageKey: "message", NameKey: "name", LevelKey: "level", ConsoleSeparator: "  ",
		EncodeTime: zapcore.TimeEncoderOfLayout("15:04:05.000"), EncodeLevel: zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
	})
}

// maxRepeats is the number of messages with the same text that are written in a minute. Guests, hypervisors and clients of a socket
// can cause some messages without end. The limit exceeds the number of ports of a switch, all of which may be lost at once, and the
// rate limit of messages that a guest causes, which counts what it omits (pod/dataplane).
const maxRepeats = 300

// limitRepeats drops messages beyond maxRepeats and reports that it does, at most once a minute.
func limitRepeats(core zapcore.Core) zapcore.Core {
	var reported atomic.Int64 // the time of the last report, in nanoseconds since 1970
	report := func(e zapcore.Entry, decision zapcore.SamplingDecision) {
		last := reported.Load()
		if decision != zapcore.LogDropped || e.Time.UnixNano()-last < int64(time.Minute) || !reported.CompareAndSwap(last, e.Time.UnixNano()) {
			return
		}
		notice := zapcore.Entry{Level: e.Level, Time: e.Time, Message: "repeated messages suppressed"}
		_ = core.Write(notice, []zapcore.Field{zap.String("text", e.Message)}) // an error of stderr cannot be reported anywhere
	}
	return zapcore.NewSamplerWithOptions(core, time.Minute, maxRepeats, 0, zapcore.SamplerHook(report))
}
