package podnet

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
)

// A pod is a network namespace with an interface eth0, whose other end is called node0. It belongs to the thread of the test, and ends
// with it.
type pod struct {
	t   *testing.T
	dir string // state directory
	log *zap.Logger
}

func newPod(t *testing.T) *pod {
	t.Helper()
	t.Parallel()
	return newSerialPod(t)
}

// newSerialPod is newPod for a test that measures time.
func newSerialPod(t *testing.T) *pod {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to create network namespaces")
	}
	for _, tool := range []string{"ip", "nft", "ping", "nsenter", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	runtime.LockOSThread() // never unlocked: the runtime ends the thread when the test's goroutine ends
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	p := &pod{t: t, dir: t.TempDir(), log: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))}
	// Duplicate address detection of IPv6 would change the output of ip for a second. Tests of IPv6 enable it.
	p.sysctl("net/ipv6/conf/all/disable_ipv6", "1")
	p.sysctl("net/ipv6/conf/default/disable_ipv6", "1")
	p.ip(`link set lo up
	link add eth0 address 0a:58:0a:f4:01:07 type veth peer name node0
	link set node0 up
	link set eth0 up`)
	return p
}

// ip runs the lines of an ip batch file.
func (p *pod) ip(lines string) {
	p.t.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(lines + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("ip: %v\n%s\n%s", err, lines, out)
	}
}

// run returns the standard output of a command in the namespace.
func (p *pod) run(name string, args ...string) string {
	p.t.Helper()
	return output(p.t, exec.Command(name, args...))
}

// output returns the standard output of a command that must succeed.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, &stderr)
	}
	return string(out)
}

func (p *pod) sysctl(key, value string) {
	p.t.Helper()
	if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pod) readSysctl(key string) string {
	p.t.Helper()
	text, err := os.ReadFile("/proc/sys/" + key)
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// A snapshot is the output of commands of ip, by command, with one JSON object per line, and the values of sysctls.
type snapshot map[string]string

func (p *pod) snapshot() snapshot {
	p.t.Helper()
	await(p.t, "the operational state of all links is up to date", p.settled)
	s := snapshot{}
	for _, command := range []string{
		"addr", "route", "route show table all dev eth0", "neigh", "neigh show proxy", "rule",
	} {
		var objects []json.RawMessage
		if err := json.Unmarshal([]byte(p.run("ip", append([]string{"-j", "-d"}, strings.Fields(command)...)...)), &objects); err != nil {
			p.t.Fatal(err)
		}
		if command == "neigh" { // The order is that of a hash table that all namespaces share, and it changes when the table grows.
			slices.SortFunc(objects, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
		}
		for _, o := range objects {
			s[command] += string(o) + "\n"
		}
	}
	for _, setting := range silentSettings() {
		s[setting.Name] = p.readSysctl("net/ipv4/conf/eth0/" + setting.Name)
	}
	return s
}

// settled reports whether the operational state of all links agrees with their carrier. The kernel updates it later (linkwatch).
func (p *pod) settled() bool {
	var links []struct {
		Flags     []string
		Operstate string
	}
	if err := json.Unmarshal([]byte(p.run("ip", "-j", "link", "show", "type", "veth")), &links); err != nil {
		p.t.Fatal(err)
	}
	for _, l := range links {
		carrier := slices.Contains(l.Flags, "UP") && slices.Contains(l.Flags, "LOWER_UP")
		if carrier != (l.Operstate == "UP") {
			return false
		}
	}
	return true
}

// wantAs fails the test if the namespace differs from an earlier snapshot, or if a file or a table of podswitch is left.
func (p *pod) wantAs(before snapshot) {
	p.t.Helper()
	if diff := cmp.Diff(before, p.snapshot()); diff != "" {
		p.t.Fatalf("the pod differs (-before +after):\n%s", diff)
	}
	p.wantNothingLeft()
}

// wantNothingLeft fails the test if a file or a table of podswitch is left.
func (p *pod) wantNothingLeft() {
	p.t.Helper()
	if names := p.files(); len(names) > 0 {
		p.t.Fatalf("left in the state directory: %v", names)
	}
	if tables := p.run("nft", "list", "tables"); strings.Contains(tables, "podswitch") {
		p.t.Fatalf("left in nftables: %s", tables)
	}
}

// files lists the state directory except the lock.
func (p *pod) files() []string {
	p.t.Helper()
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return names
}

// addresses returns the IPv4 addresses of eth0, as ip writes them.
func (p *pod) addresses() string {
	p.t.Helper()
	return p.run("ip", "-4", "-o", "addr", "show", "dev", "eth0")
}

func (p *pod) discover() *Identity {
	p.t.Helper()
	id, err := Discover("eth0", IPv4)
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

func (p *pod) take() *Taken {
	p.t.Helper()
	taken, err := Take(p.discover(), p.dir, p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = taken.GiveBack() })
	return taken
}

func (p *pod) link(name string) Link {
	p.t.Helper()
	conn, err := openRtnetlink()
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.close()
	l, err := conn.existingLink(name)
	if err != nil {
		p.t.Fatal(err)
	}
	return l
}

// await polls a condition for at most ten seconds.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
	}
}
