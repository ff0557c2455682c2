package main

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logFlags are the flags of what runs for long.
type logFlags struct{ level, format *choice }

func (f *logFlags) add(c *cobra.Command) {
	f.level, f.format = newChoice("info", "debug", "warn", "error"), newChoice("console", "json")
	c.Flags().Var(f.level, "log-level", "Least level of messages")
	c.Flags().Var(f.format, "log-format", "Form of messages")
}

func (f *logFlags) logger(w io.Writer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(f.level.value)
	if err != nil {
		return nil, err
	}
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	if f.format.value == "console" {
		encoder = zapcore.NewConsoleEncoder(zapcore.EncoderConfig{
			TimeKey: "time", MessageKey: "message", NameKey: "name", LevelKey: "level", ConsoleSeparator: "  ",
			EncodeTime: zapcore.TimeEncoderOfLayout("15:04:05.000"), EncodeLevel: zapcore.LowercaseLevelEncoder,
			EncodeDuration: zapcore.StringDurationEncoder,
		})
	}
	return zap.New(limitRepeats(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level))), nil
}

// maxRepeats is how often a message is written in a minute, whatever else stands beside it: guests, hypervisors, and whoever reaches a
// socket can cause some without end. It is more than a switch has ports, each of which may be lost at once, and more than attach lets a
// guest cause, where what is left out is counted.
const maxRepeats = 300

// bounded leaves messages out that come too often, and says so once a minute.
func limitRepeats(core zapcore.Core) zapcore.Core {
	var said atomic.Int64 // when, in nanoseconds since 1970
	tell := func(e zapcore.Entry, what zapcore.SamplingDecision) {
		before := said.Load()
		if what != zapcore.LogDropped || e.Time.UnixNano()-before < int64(time.Minute) || !said.CompareAndSwap(before, e.Time.UnixNano()) {
			return
		}
		notice := zapcore.Entry{Level: e.Level, Time: e.Time, Message: "too many equal messages: more are left out"}
		_ = core.Write(notice, []zapcore.Field{zap.String("of", e.Message)}) // nobody is left to tell
	}
	return zapcore.NewSamplerWithOptions(core, time.Minute, maxRepeats, 0, zapcore.SamplerHook(tell))
}
