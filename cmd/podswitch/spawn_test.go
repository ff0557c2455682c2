package main

import (
	"slices"
	"testing"
)

// TestEnvironment checks that a switch is told of what its runtime reads, and of no secret.
func TestEnvironment(t *testing.T) {
	for name, told := range map[string]bool{
		"GOMAXPROCS": true, "GODEBUG": true, "TZ": true, "AUTOMEMLIMIT": true, "PODSWITCH_CACHE": true,
		"GOOGLE_API_KEY": false, "GOPROXY": false, "TZDATA_TOKEN": false, "SECRET": false,
	} {
		t.Setenv(name, "1")
		if got := slices.Contains(switchEnvironment(), name+"=1"); got != told {
			t.Errorf("%s: told %t, want %t", name, got, told)
		}
	}
}
