package main

import (
	"io"
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
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level)
	return zap.New(zapcore.NewSamplerWithOptions(core, time.Minute, equalMessages, 0)), nil
}

// equalMessages is how often the same message is written in a minute, whatever else it says: guests, hypervisors, and whoever reaches a
// socket can cause some of them without end.
const equalMessages = 30
