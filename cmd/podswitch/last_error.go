package main

import (
	"fmt"
	"io"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// printError prints the error with which the process ends, in the format of its other messages.
func printError(w io.Writer, err error, args []string) {
	if !asksForJSON(args) {
		fmt.Fprintf(w, "podswitch: %v\n", err)
		return
	}
	core := zapcore.NewCore(newEncoder("json"), zapcore.AddSync(w), zap.ErrorLevel)
	zap.New(core).Error("podswitch failed", zap.Error(err), zap.Int("exit_code", exitCode(err)))
}

// asksForJSON reports whether a command line has --log-format json. It reads the arguments themselves, because the error may be that
// they have not been parsed.
func asksForJSON(args []string) bool {
	const flag = "--" + logFormatFlag
	i := slices.Index(args, flag)
	return slices.Contains(args, flag+"=json") || i >= 0 && i+1 < len(args) && args[i+1] == "json"
}
