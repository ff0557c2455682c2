package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Profiles of network plugins: parsing their facts and calling their functions.

// A profile is a network plugin's script and the facts in its head.
type profile struct {
	name, script string
	facts        map[string]string
}

// fact returns a fact of the profile, and fails the test if there is none.
func (p profile) fact(t *testing.T, name string) string {
	t.Helper()
	value, ok := p.facts[name]
	if !ok {
		t.Fatalf("profile %s lacks %q", p.name, name)
	}
	return value
}

// list returns the words of a fact; "-" is the empty list.
func (p profile) list(t *testing.T, name string) []string {
	t.Helper()
	if value := p.fact(t, name); value != "-" {
		return strings.Fields(value)
	}
	return nil
}

func readProfiles(t *testing.T) []profile {
	t.Helper()
	files, err := filepath.Glob("plugins/*.sh")
	if err != nil || len(files) == 0 {
		t.Fatalf("no profiles: %v", err)
	}
	var profiles []profile
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		p := profile{strings.TrimSuffix(filepath.Base(file), ".sh"), script, map[string]string{}}
		scanner := bufio.NewScanner(bytes.NewReader(text))
		for scanner.Scan() && strings.HasPrefix(scanner.Text(), "#") {
			if name, value, ok := strings.Cut(strings.TrimPrefix(scanner.Text(), "# "), ": "); ok {
				p.facts[name] = strings.TrimSpace(value)
			}
		}
		profiles = append(profiles, p)
	}
	return profiles
}

// A pluginLab is a lab whose pod a profile has made, with namespaces around it.
type pluginLab struct {
	*lab
	profile
	places   map[string]namespace // node, node2, local, remote, service
	versions []string             // of IP that the pod has: "" is IPv4, "6" is IPv6; the suffix of the facts' names
}

// newPluginLab makes the namespaces and calls the profile's function up. Its function down is called when the test ends. With only6 the pod
// has no IPv4 address.
func newPluginLab(t *testing.T, p profile, only6 bool) *pluginLab {
	t.Helper()
	need(t, append([]string{"ip", "ping", "tcpdump"}, p.list(t, "needs")...)...)
	prefix := fmt.Sprintf("psw%d-%d-", os.Getpid(), labs.Add(1))
	l := &pluginLab{&lab{t: t, stateDir: socketDir(t)}, p, map[string]namespace{}, []string{""}}
	for _, place := range []string{"node", "node2", "local", "remote", "service"} {
		l.places[place] = newNamespace(t, prefix+place)
	}
	l.node, l.peer = l.places["node"], l.places["local"]
	l.pod, l.guest = newNamespace(t, prefix+"pod"), newNamespace(t, prefix+"guest")
	if p.facts["address6"] != "" {
		l.versions = append(l.versions, "6")
		for _, n := range l.places {
			n.enableIPv6()
		}
		l.pod.enableIPv6(detects)
		l.guest.enableIPv6(detects)
	}
	t.Cleanup(func() { l.call("down") })
	if out, code := l.call("up"); code != 0 {
		t.Fatalf("up: exit code %d\n%s", code, out)
	}
	if only6 {
		l.versions = []string{"6"}
		l.pod.batch("-4 addr flush dev eth0")
	}
	return l
}

// addresses returns the pod's addresses of the versions that it has.
func (l *pluginLab) addresses() (addresses []string) {
	l.t.Helper()
	for _, version := range l.versions {
		address, _, _ := strings.Cut(l.fact(l.t, "address"+version), "/")
		addresses = append(addresses, address)
	}
	return addresses
}

// tools runs kit/tools once, and returns the directory with the Go programs of profiles.
var tools = sync.OnceValues(func() (folder string, err error) {
	cmd := exec.Command("kit/tools")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
})

// call runs a function of the profile's script, if the script defines it.
func (l *pluginLab) call(function string) (output string, code int) {
	l.t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", `source "$1"; if declare -F "$2" >/dev/null; then "$2"; fi`, "profile", l.script, function)
	cmd.Env = append(os.Environ(), "WORK="+l.stateDir, "NODE="+l.node.name, "NODE2="+l.places["node2"].name, "POD="+l.pod.name,
		"LOCAL="+l.places["local"].name, "REMOTE="+l.places["remote"].name, "SERVICE="+l.places["service"].name)
	if l.facts["tools"] == "yes" {
		folder, err := tools()
		if err != nil {
			l.t.Fatalf("kit/tools: %v", err)
		}
		cmd.Env = append(cmd.Env, "TOOLS="+folder)
	}
	// Output goes to a file, because Wait would wait for a daemon that keeps a pipe open.
	file, err := os.Create(filepath.Join(l.stateDir, "profile-"+function))
	if err != nil {
		l.t.Fatal(err)
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	timer := time.AfterFunc(4*timeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // the exit code has the result
	text, err := os.ReadFile(file.Name())
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// learnt returns the entries that the node has learned for the pod.
func (l *pluginLab) learnt() string {
	l.t.Helper()
	out, code := l.call("learnt")
	if code != 0 {
		l.t.Fatalf("learnt: exit code %d\n%s", code, out)
	}
	return out
}

// forbidden returns the node's counters of frames that must not leave the pod.
func (l *pluginLab) forbidden() string {
	l.t.Helper()
	out, code := l.call("forbidden")
	if code != 0 {
		l.t.Fatalf("forbidden: exit code %d\n%s", code, out)
	}
	return out
}
