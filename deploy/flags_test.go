package deploy_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFlags wants that podswitch knows every command and flag that the manifests use.
func TestFlags(t *testing.T) {
	for _, name := range manifests(t) {
		seen := 0
		for _, c := range readManifest(t, name).all() {
			for _, line := range c.commands() {
				seen++
				checkFlags(t, name+"/"+c.Name, line)
			}
		}
		if seen == 0 {
			t.Errorf("%s: runs no podswitch", name)
		}
	}
}

func checkFlags(t *testing.T, where string, line []string) {
	t.Helper()
	if len(line) == 0 {
		t.Errorf("%s: want a command of podswitch", where)
		return
	}
	known := helpFlags(t, line[0])
	for _, arg := range line[1:] {
		flag, value, _ := strings.Cut(arg, "=")
		if !slices.Contains(known, flag) {
			t.Errorf("%s: podswitch %s has no %s: it has %v", where, line[0], flag, known)
		}
		if value == "" {
			t.Errorf("%s: %s: want --flag=value", where, arg)
		}
	}
}

var flagName = regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`)

// helpFlags are the flags that the help of a command shows. The help of a command that is not there is that of podswitch.
func helpFlags(t *testing.T, command string) (flags []string) {
	t.Helper()
	out, err := exec.Command(program, command, "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("podswitch %s --help: %v\n%s", command, err, out)
	}
	_, usage, ok := strings.Cut(string(out), "Usage:\n  podswitch "+command)
	if !ok {
		t.Fatalf("podswitch has no command %q", command)
	}
	for _, match := range flagName.FindAllStringSubmatch(usage, -1) {
		flags = append(flags, match[1])
	}
	return flags
}

// TestQEMU wants the arguments that podswitch says, but for what depends on the machine that it is asked on.
func TestQEMU(t *testing.T) {
	out, err := exec.Command(program, "qemu-args", "--guest", "stream:/run/podswitch/guest/socket").Output()
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Split(strings.TrimSpace(string(out)), "\n")
	said[3] = regexp.MustCompile(`,(mac|host_mtu)=[^,]*`).ReplaceAllString(said[3], "")
	for _, name := range manifests(t) {
		have := strings.ReplaceAll(strings.Join(readManifest(t, name).container(t, "qemu").Command, "\n"), ",reconnect-ms=100", "")
		if want := strings.Join(said, "\n"); !strings.Contains(have, want) {
			t.Errorf("%s: QEMU's arguments\n%s\nhave not\n%s", name, have, want)
		}
	}
}
