package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// TestMessageLimit shows that what somebody causes without end fills no disk, that it is said that something is left out, and that
// nothing else is.
func TestMessageLimit(t *testing.T) {
	f := logFlags{newChoice("info"), newChoice("console")}
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
	for part, want := range map[string]int{`{"time": `: maxRepeats, "ready": 1, `left out  {"of": "the hypervisor has connected"}`: 1} {
		if n := strings.Count(text, part); n != want {
			t.Errorf("%d of %q, want %d; the end is %q", n, part, want, text[max(0, len(text)-200):])
		}
	}
}
