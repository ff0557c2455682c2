package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/grant"
)

// runFlagsOf returns the flags of a command line of run.
func runFlagsOf(t *testing.T, stdin string, args ...string) (*runFlags, *cobra.Command) {
	t.Helper()
	var f runFlags
	c := &cobra.Command{}
	f.add(c)
	c.SetIn(strings.NewReader(stdin))
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return &f, c
}

// TestSettings checks that a keeper plans a takeover with the settings that run has for the same flags.
func TestSettings(t *testing.T) {
	document := filepath.Join(t.TempDir(), "vm.yaml")
	text := "spec: {devices: {interfaces: [{name: red, bridge: {}, macAddress: '02:00:00:00:00:07'}]}, networks: [{name: red, pod: {}}]}"
	if err := os.WriteFile(document, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"one flag":       {"--hold-after", "1m30s"},
		"a MAC":          {"--guest-mac", "52:54:00:12:34:56"},
		"the pod's MAC":  {"--guest-mac", "pod"},
		"a document":     {"--vm", document, "--interface", "red"},
		"IPv6":           {"--keep", "tcp/80=[::1]:8080,proxy", "--deny", "fd00::1:2/64", "--deny", "[fd00::1]:443", "--deny", "[2001:db8::/32]:53"},
		"several values": {"--keep", "tcp/80", "--keep", "tcp/81=localhost:8081", "--deny", "10.1.2.3/8", "--deny", "0.0.0.0/0:22"},
	} {
		t.Run(name, func(t *testing.T) {
			f, c := runFlagsOf(t, "", args...)
			sent, err := f.settings(c)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := sent.Encode()
			if err != nil {
				t.Fatal(err)
			}
			got, err := readSettings(encoded)
			if err != nil {
				t.Fatalf("%s: %v", encoded, err)
			}
			want, err := f.config(c)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want.Settings) {
				t.Errorf("%s is read as\n%+v, want\n%+v", encoded, got, want.Settings)
			}
		})
	}
}

// TestNoSettings checks that a takeover without settings flags does not change the settings of the keeper.
func TestNoSettings(t *testing.T) {
	f, c := runFlagsOf(t, "")
	s, err := f.settings(c)
	if encoded, failed := s.Encode(); s != nil || err != nil || encoded != nil || failed != nil {
		t.Errorf("%+v, %v, encoded %q, %v", s, err, encoded, failed)
	}
}

// TestSettingsRefused checks that the keeper validates the settings of another process like its own flags, and names the flag.
func TestSettingsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"hold_after":"30s","keep":["80"]}`:                `--keep: kept port "80"`,
		`{"hold_after":"30s","keep":["tcp/80","tcp/80"]}`:   "--keep tcp/80: the port is given twice",
		`{"hold_after":"30s","deny":["nonsense"]}`:          `--deny: denied destination "nonsense"`,
		`{"hold_after":"30s","guest_mac":"02:00"}`:          `--guest-mac: "02:00"`,
		`{"hold_after":"30s","guest_mac":"01:00:5e:0:0:1"}`: "--guest-mac",
		`{"hold_after":"-1s"}`:                              "--hold-after -1s: want 0s or more",
		`{"hold_after":"soon"}`:                             "--hold-after",
		`{}`:                                                "--hold-after",
		`{"hold_after":"30s","interface":"red"}`:            `--interface "red"`,
		`{"hold_after":"30s","document":""}`:                "VM document of the takeover",
		`{"hold_after":"30s","offload":"on"}`:               "unknown field",
		`[]`:                                                "settings of a takeover",
		`null`:                                              "--hold-after",
	} {
		if _, err := readSettings([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != exitUsage {
			t.Errorf("%s: %v, exit code %d; want %q and %d", text, err, exitCode(err), want, exitUsage)
		}
	}
}

// TestSettingsOfNoDocument checks that an empty document is a fault in the keeper too, and not the default document.
func TestSettingsOfNoDocument(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		fails bool
	}{
		"none named":             {[]string{"--hold-after", "30s"}, false},
		"an empty one":           {[]string{"--vm", "-"}, true},
		"another MAC":            {[]string{"--guest-mac", "52:54:00:12:34:56"}, false},
		"an empty one, and more": {[]string{"--vm", "-", "--hold-after", "30s"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			f, command := runFlagsOf(t, "", c.args...)
			s, err := f.settings(command)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := planSettings(s); err != nil != c.fails {
				t.Errorf("%+v: %v; want an error: %t", s, err, c.fails)
			}
		})
	}
}

// TestSettingsFlagsChecked checks that a switch rejects invalid flags before it connects to the keeper.
func TestSettingsFlagsChecked(t *testing.T) {
	for want, args := range map[string][]string{
		"given twice":  {"--keep", "tcp/80", "--keep", "tcp/80=localhost:1"},
		"0s or more":   {"--hold-after", "-1s"},
		"VM document:": {"--vm", "/nowhere/vm.yaml"},
	} {
		f, c := runFlagsOf(t, "", args...)
		s, err := f.settings(c)
		if usage := (usageError{}); !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || s != (*grant.Settings)(nil) {
			t.Errorf("%q: %+v, %v; want %q", args, s, err, want)
		}
	}
}
