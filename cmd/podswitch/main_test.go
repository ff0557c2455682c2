package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// do runs podswitch with args in this process.
func do(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), code
}

// TestUsage checks exit code and message of invalid command lines, and that stdout stays empty.
func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args    []string
		message string
	}{
		{nil, "command is missing"},
		{[]string{"walk"}, "walk"},
		{[]string{"stats"}, `did you mean "status"`},
		{[]string{"fbd"}, `unknown command "fbd": see podswitch --help`},
		{[]string{"foo"}, `unknown command "foo": see podswitch --help`},
		{[]string{"fdv"}, `did you mean "fdb"`},
		{[]string{"stauts"}, `did you mean "status"`},
		{[]string{"run", "--nope"}, "--nope"},
		{[]string{"run", "extra"}, "extra"},
		{[]string{"run", "--guest", "tun:tun0"}, "packet:NAME"},
		{[]string{"run", "--guest-mac", "ff:ff:ff:ff:ff:ff"}, "unicast"},
		{[]string{"run", "--guest-mac", "x"}, "52:54:00"},
		{[]string{"run", "--keep", "80"}, "tcp/PORT"},
		{[]string{"run", "--offload", "x"}, "on or off"},
		{[]string{"run", "--log-level", "loud"}, "info, debug, warn or error"},
		{[]string{"run", "--log-format", "xml"}, "console or json"},
		{[]string{"run", "--pod-interface", "a/b"}, "a/b"},
		{[]string{"run", "--vm", "/nonexistent"}, "/nonexistent"},
		{[]string{"run", "--interface", "red"}, `"default"`},
		{[]string{"run", "--keep", "tcp/80", "--keep", "tcp/80=127.0.0.1:8080"}, "twice"},
		{[]string{"run", "--state-dir", ""}, "--state-dir"},
		{[]string{"run", "--deny", "10.0.0.0/33"}, "10.0.0.0/33"},
		{[]string{"run", "--deny", "10.0.0.0/8:0"}, "10.0.0.0/8:0"},
		{[]string{"run", "--address", "keep"}, "move or mute"},
		{[]string{"plan", "-o", "xml"}, "text or json"},
		{[]string{"switch"}, "2 to"},
		{[]string{"switch", "--port", "tap:a", "--port", "packet:a"}, "twice"},
		{[]string{"switch", "--port", "tap:a", "--port", "tap:b", "--ageing", "0s"}, "more than 0"},
		{[]string{"switch", "--port", "tap:a", "--port", "tap:b", "--fdb-limit", "0"}, "1 to"},
		{[]string{"switch", "--port", "tap:a", "--port", "tap:b", "--group-fwd-mask", "0x4001"}, "none of the bits 0x7"},
		{[]string{"keeper", "--listen", "/nonexistent/socket", "--peer-uid", "107", "--peer-uid", "0", "--peer-uid", "108"}, "one user"},
		{[]string{"check"}, "FILE is missing"},
		{[]string{"completion"}, "bash, zsh, fish or powershell"},
		{[]string{"completion", "tcsh"}, "bash, zsh, fish or powershell"},
		{[]string{"check", "/nonexistent"}, "/nonexistent"},
	} {
		stdout, stderr, code := do(t, "", c.args...)
		if code != exitUsage || !strings.Contains(stderr, c.message) || stdout != "" {
			t.Errorf("%q: exit code %d, stderr %q, stdout %q; want 2 and %q", c.args, code, stderr, stdout, c.message)
		}
	}
}

// TestCheck checks valid and invalid documents, from a file and from standard input.
func TestCheck(t *testing.T) {
	good := "kind: VM\nspec: {devices: {interfaces: [{name: red, bridge: {delegateIp: true}}]}, networks: [{name: red, pod: {}}]}\n"
	bad := "kind: VM\nspec: {devices: {interfaces: [{name: red, model: ne2000}]}, networks: [{name: blue, pod: {}}]}\n"
	file := filepath.Join(t.TempDir(), "vm.yaml")
	for _, c := range []struct {
		document string
		code     int
		output   []string
	}{
		{good, exitOK, []string{"valid"}},
		{bad, exitUsage, []string{"spec.devices.interfaces[0].model", "ne2000", "blue"}},
		{"", exitUsage, []string{"empty"}},
	} {
		if err := os.WriteFile(file, []byte(c.document), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{file, "-"} {
			stdout, stderr, code := do(t, c.document, "check", name)
			if code != c.code {
				t.Errorf("%q: exit code %d, want %d: %s", c.document, code, c.code, stderr)
			}
			for _, want := range c.output {
				if !strings.Contains(stdout+stderr, want) {
					t.Errorf("%q: no %q in %s%s", c.document, want, stdout, stderr)
				}
			}
		}
	}
}

// TestNoSwitch checks the commands that need a running podswitch without one.
func TestNoSwitch(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	for _, verb := range []string{"status", "fdb"} {
		if _, stderr, code := do(t, "", verb, "--control", socket); code != exitFailed || !strings.Contains(stderr, socket) {
			t.Errorf("%s: exit code %d: %s", verb, code, stderr)
		}
	}
	if stdout, stderr, code := do(t, "", "restore", "--state-dir", t.TempDir()); code != exitOK || stdout == "" {
		t.Errorf("restore without a state file: exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestHelp checks that the help of every command begins with a description and has an example.
func TestHelp(t *testing.T) {
	list, _, code := do(t, "", "--help")
	if code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	checkHelp(t, "podswitch", list)
	for _, c := range rootCommand().Commands() {
		if !strings.Contains(list, "\n  "+c.Name()+" ") {
			t.Errorf("the help does not list %s", c.Name())
		}
		help, _, code := do(t, "", c.Name(), "--help")
		if code != exitOK {
			t.Errorf("%s --help: exit code %d", c.Name(), code)
		}
		checkHelp(t, c.Name(), help)
	}
}

func checkHelp(t *testing.T, name, help string) {
	t.Helper()
	description, _, found := strings.Cut(help, "\nUsage:")
	if !found || strings.TrimSpace(description) == "" || !strings.Contains(help, "\nExamples:\n  ") {
		t.Errorf("%s: the help has no description or no example:\n%s", name, help)
	}
}
