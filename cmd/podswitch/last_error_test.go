package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestLastError checks that the error of a process has the format of its log, also if the command line is wrong.
func TestLastError(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		words string
	}{
		"a run":                  {[]string{"run", "--log-format", "json", "--pod-interface", "a/b"}, "a/b"},
		"a wrong flag":           {[]string{"run", "--log-format=json", "--nope"}, "--nope"},
		"a wrong flag before":    {[]string{"run", "--nope", "--log-format", "json"}, "--nope"},
		"a missing argument":     {[]string{"switch", "--log-format", "json"}, "2 to 256 ports"},
		"a switch, no keeper":    {[]string{"run", "--keeper", "/nowhere/socket", "--wait", "0s", "--log-format", "json"}, "/nowhere/socket"},
		"the watchdog's restore": {[]string{"restore", "--state-dir", "/dev/null/x", "--log-format", "json"}, "/dev/null/x"},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, code := do(t, "", c.args...)
			var line struct {
				Level, Msg, Error string
				Code              int `json:"exit_code"`
			}
			if err := json.Unmarshal([]byte(stderr), &line); err != nil {
				t.Fatalf("%v in %q", err, stderr)
			}
			if line.Level != "error" || line.Msg == "" || !strings.Contains(line.Error, c.words) || line.Code != code || code == exitOK {
				t.Errorf("%+v, exit code %d", line, code)
			}
		})
	}
}

// TestLastErrorIsPrintable checks that an error cannot control the terminal.
func TestLastErrorIsPrintable(t *testing.T) {
	_, stderr, _ := do(t, "", "check", "/nowhere\x1b[2J")
	if strings.Contains(stderr, "\x1b") || !strings.Contains(stderr, `/nowhere\u001b[2J`) {
		t.Errorf("%q", stderr)
	}
}
