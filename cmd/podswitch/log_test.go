package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// TestMessageLimit checks that repeated messages are suppressed and reported as such, and that other messages are not.
func TestMessageLimit(t *testing.T) {
	f := logFlags{level: newChoice("info"), format: newChoice("console")}
	var out bytes.Buffer
	log, err := f.logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 * maxRepeats {
		log.Info("the hypervisor has connected", zap.Int("time", i))
	}
	log.Info("ready")
	text := out.String()
	for part, want := range map[string]int{`{"time": `: maxRepeats, "ready": 1, `repeated messages suppressed  {"text": "the hypervisor has connected"}`: 1} {
		if n := strings.Count(text, part); n != want {
			t.Errorf("%d of %q, want %d; the end is %q", n, part, want, text[max(0, len(text)-200):])
		}
	}
}
