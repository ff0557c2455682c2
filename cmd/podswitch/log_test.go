package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// TestEqualMessages shows that what somebody causes without end fills no disk, and keeps nothing else from being written.
func TestEqualMessages(t *testing.T) {
	f := logFlags{newChoice("info"), newChoice("console")}
	var out bytes.Buffer
	log, err := f.logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		log.Info("the hypervisor has connected", zap.Int("time", i))
	}
	log.Info("ready")
	text := out.String()
	if n := strings.Count(text, "connected"); n != equalMessages || strings.Count(text, "ready") != 1 {
		t.Errorf("%d of 1000 equal messages, want %d; and %q", n, equalMessages, text[max(0, len(text)-100):])
	}
}
