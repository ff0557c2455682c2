package podnet

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
)

// A pod is a network namespace of the test's own thread with an interface eth0 whose other end is called node0. The
// thread ends with the test, and the namespace with it.
type pod struct {
	t   *testing.T
	dir string // for the state file
	log *zap.Logger
}

func newPod(t *testing.T) *pod {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make network namespaces")
	}
	for _, tool := range []string{"ip", "nft", "ping", "nsenter", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	t.Parallel()
	runtime.LockOSThread() // never unlocked: the runtime ends the thread when the test's goroutine ends
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	p := &pod{t: t, dir: t.TempDir(), log: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))}
	// IPv6 duplicate address detection changes the output of ip for a second; tests that want IPv6 turn it on.
	p.sysctl("net/ipv6/conf/all/disable_ipv6", "1")
	p.sysctl("net/ipv6/conf/default/disable_ipv6", "1")
	p.ip(`link set lo up
	link add eth0 address 0a:58:0a:f4:01:07 type veth peer name node0
	link set node0 up
	link set eth0 up`)
	return p
}

// ip runs lines of the ip command.
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
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
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

// A snapshot is what the ip command says about the namespace, by command, one JSON object a line.
type snapshot map[string]string

func (p *pod) snapshot() snapshot {
	p.t.Helper()
	await(p.t, "the kernel has seen which links are operational", p.settled)
	s := snapshot{}
	for _, command := range []string{
		"addr", "route", "route show table all dev eth0", "neigh", "neigh show proxy", "rule",
	} {
		var objects []json.RawMessage
		if err := json.Unmarshal([]byte(p.run("ip", append([]string{"-j", "-d"}, strings.Fields(command)...)...)), &objects); err != nil {
			p.t.Fatal(err)
		}
		if command == "neigh" { // by hash, and the kernel's table is shared by all namespaces and may grow meanwhile
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

// settled tells whether the operational state of all links, which the kernel updates later, is that of their carrier.
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

// wantAs fails the test when the namespace differs from an earlier snapshot or when something of ours is left.
func (p *pod) wantAs(before snapshot) {
	p.t.Helper()
	if diff := cmp.Diff(before, p.snapshot()); diff != "" {
		p.t.Fatalf("the pod is not as before (-before +after):\n%s", diff)
	}
	if names := p.files(); len(names) > 0 {
		p.t.Fatalf("left in the state directory: %v", names)
	}
	if tables := p.run("nft", "list", "tables"); strings.Contains(tables, "podswitch") {
		p.t.Fatalf("left in nftables: %s", tables)
	}
}

// files lists the state directory, without the lock.
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

// addresses returns the IPv4 part of ip addr.
func (p *pod) addresses() string {
	p.t.Helper()
	return p.run("ip", "-4", "-o", "addr", "show", "dev", "eth0")
}

func (p *pod) discover() *Identity {
	p.t.Helper()
	id, err := Discover("eth0")
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

func (p *pod) take() *Holding {
	p.t.Helper()
	h, err := Take(p.discover(), p.dir, p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = h.GiveBack() })
	return h
}

// newNode moves the other end of eth0 into a namespace of its own and returns the command prefix that runs there.
func (p *pod) newNode() []string {
	p.t.Helper()
	cmd := exec.Command("unshare", "-n", "sh", "-c", "echo ready; exec cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		stdin.Close() // cat ends
		_ = cmd.Wait()
	})
	if _, err := stdout.Read(make([]byte, 16)); err != nil {
		p.t.Fatal(err)
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	p.ip("link set node0 netns " + pid)
	node := []string{"nsenter", "-t", pid, "-n"}
	p.run(node[0], append(node[1:], "ip", "link", "set", "node0", "up")...)
	return node
}

// await polls a condition for at most ten seconds.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
