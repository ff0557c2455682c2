package deploy_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestManifestsUseExistingFlags checks that podswitch has every command and flag that the manifests use.
func TestManifestsUseExistingFlags(t *testing.T) {
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
		t.Errorf("%s: no command of podswitch", where)
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

// helpFlags returns the flags in the help of a command. For an unknown command, podswitch prints its own help.
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

// TestQEMUHasTheArgumentsOfQEMUArgs checks that QEMU's network arguments are those of qemu-args, except the MAC and the MTU, which depend on the machine.
func TestQEMUHasTheArgumentsOfQEMUArgs(t *testing.T) {
	out, err := exec.Command(program, "qemu-args", "--guest", "stream:/run/podswitch/guest/socket").Output()
	if err != nil {
		t.Fatal(err)
	}
	printed := strings.Split(strings.TrimSpace(string(out)), "\n")
	printed[3] = regexp.MustCompile(`,(mac|host_mtu)=[^,]*`).ReplaceAllString(printed[3], "")
	for _, name := range manifests(t) {
		have := strings.ReplaceAll(strings.Join(readManifest(t, name).container(t, "qemu").Command, "\n"), ",reconnect-ms=100", "")
		if want := strings.Join(printed, "\n"); !strings.Contains(have, want) {
			t.Errorf("%s: QEMU's arguments\n%s\nlack\n%s", name, have, want)
		}
	}
}
