package main

import (
	"slices"
	"testing"
)

// TestSwitchEnvironment checks that a switch gets the variables of its runtime and no secrets.
func TestSwitchEnvironment(t *testing.T) {
	for name, passed := range map[string]bool{
		"GOMAXPROCS": true, "GODEBUG": true, "TZ": true, "AUTOMEMLIMIT": true, "PODSWITCH_CACHE": true,
		"GOOGLE_API_KEY": false, "GOPROXY": false, "TZDATA_TOKEN": false, "SECRET": false,
	} {
		t.Setenv(name, "1")
		if got := slices.Contains(switchEnvironment(), name+"=1"); got != passed {
			t.Errorf("%s: passed %t, want %t", name, got, passed)
		}
	}
}
