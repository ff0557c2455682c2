package main

import (
	"bytes"
	"os"
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

// TestSwitchMessages checks that the messages of a switch pass through its keeper, which escapes them.
func TestSwitchMessages(t *testing.T) {
	var out bytes.Buffer
	f := logFlags{level: newChoice("info"), format: newChoice("console")}
	if _, err := f.logger(printableWriter{&out}); err != nil {
		t.Fatal(err)
	}
	c := f.switchCommandLine(os.Stderr)
	c.Path, c.Args, c.ExtraFiles = "/bin/sh", []string{"sh", "-c", `printf 'a\033[2J\n' >&2`}, nil
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	if c.WaitDelay <= 0 {
		t.Error("a switch that passes its stderr on would keep the keeper from ending")
	}
	if got := out.String(); got != "a\\u001b[2J\n" {
		t.Errorf("%q", got)
	}
}
