package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// A lab is a node with a bridge, two pods, and a namespace for the guest:
//
//	┌─ node ──────────────────────────────┐
//	│   cni0 10.244.1.1/24 (bridge)       │
//	│   vpod (hairpin)        vpeer       │
//	└────┼──────────────────────┼─────────┘
//	┌────┼─ pod ───────┐   ┌────┼─ peer ─────────────┐
//	│  eth0            │   │  eth0 10.244.1.8/24     │
//	│  10.244.1.7/24   │   └─────────────────────────┘
//	│  podswitch       │   ┌─ guest ─────────────────┐
//	│     tap0 ────────┼───┼─ tap0, moved here       │
//	└──────────────────┘   └─────────────────────────┘
type lab struct {
	t                      *testing.T
	node, pod, peer, guest namespace
	stateDir               string
	ends                   []ends // one for each IP version that the pod has
}

// ends are the addresses at both ends of a connection between guest and peer.
type ends struct{ pod, peer string }

// Addresses and settings of every lab.
const (
	podAddress  = "10.244.1.7"
	podMAC      = "0a:58:0a:f4:01:07"
	nodeAddress = "10.244.1.1"
	peerAddress = "10.244.1.8"
	podMTU      = 1450
	holdAfter   = "1s"
)

// A namespace is a network namespace that has a name under /run/netns.
type namespace struct {
	t    *testing.T
	name string
}

// labs counts the labs of this process, for unique names.
var labs atomic.Int32

func newLab(t *testing.T) *lab {
	t.Helper()
	need(t, "ip", "ping", "tcpdump")
	l := &lab{t: t, stateDir: socketDir(t), ends: []ends{{podAddress, peerAddress}}}
	prefix := fmt.Sprintf("psw%d-%d-", os.Getpid(), labs.Add(1))
	l.node, l.pod = newNamespace(t, prefix+"node"), newNamespace(t, prefix+"pod")
	l.peer, l.guest = newNamespace(t, prefix+"peer"), newNamespace(t, prefix+"guest")
	l.node.batch(
		"link add cni0 mtu 1450 type bridge",
		"addr add 10.244.1.1/24 dev cni0",
		"link set cni0 up",
		"link add vpod mtu 1450 type veth peer name eth0 address "+podMAC+" mtu 1450 netns "+l.pod.name,
		"link add vpeer mtu 1450 type veth peer name eth0 mtu 1450 netns "+l.peer.name,
		"link set vpod master cni0 up",
		"link set vpod type bridge_slave hairpin on",
		"link set vpeer master cni0 up",
	)
	l.pod.batch(
		"link set eth0 up",
		"addr add 10.244.1.7/24 brd 10.244.1.255 dev eth0",
		"route add default via 10.244.1.1",
		"route add 10.244.0.0/16 via 10.244.1.1",
	)
	l.peer.batch(
		"link set eth0 up",
		"addr add 10.244.1.8/24 dev eth0",
		"route add default via 10.244.1.1",
	)
	await(t, "the bridge to forward", func() error {
		if _, errs, code := l.pod.run("ping", "-c1", "-W1", peerAddress); code != 0 {
			return fmt.Errorf("ping: %s", errs)
		}
		return nil
	})
	return l
}

func newNamespace(t *testing.T, name string) namespace {
	t.Helper()
	must(t, "ip", "netns", "add", name)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	n := namespace{t, name}
	n.must("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
	n.batch("link set lo up")
	return n
}

// in returns the arguments of ip(8) that run a command in the namespace.
func (n namespace) in(args ...string) []string {
	return append([]string{"netns", "exec", n.name}, args...)
}

func (n namespace) must(args ...string) string {
	n.t.Helper()
	return must(n.t, "ip", n.in(args...)...)
}

func (n namespace) run(args ...string) (stdout, stderr string, code int) {
	n.t.Helper()
	return run(n.t, "ip", n.in(args...)...)
}

func (n namespace) start(args ...string) *process {
	n.t.Helper()
	return start(n.t, "ip", n.in(args...)...)
}

// batch runs ip commands in the namespace.
func (n namespace) batch(commands ...string) {
	n.t.Helper()
	for _, c := range commands {
		must(n.t, "ip", append([]string{"-n", n.name}, strings.Fields(c)...)...)
	}
}

// addresses returns the IPv4 addresses of a device, as "10.244.1.7/24".
func (n namespace) addresses(device string) []string {
	n.t.Helper()
	var links []struct {
		AddrInfo []struct {
			Local     string
			PrefixLen int
		} `json:"addr_info"`
	}
	n.json(&links, "-4", "addr", "show", "dev", device)
	var list []string
	for _, l := range links {
		for _, a := range l.AddrInfo {
			list = append(list, fmt.Sprintf("%s/%d", a.Local, a.PrefixLen))
		}
	}
	return list
}

func (n namespace) json(v any, args ...string) {
	n.t.Helper()
	out := must(n.t, "ip", append([]string{"-j", "-n", n.name}, args...)...)
	if strings.TrimSpace(out) == "" {
		out = "[]"
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		n.t.Fatalf("ip -j %v: %v", args, err)
	}
}

// podswitch starts `podswitch run` in the pod and waits until it is ready.
func (l *lab) podswitch(args ...string) *process {
	l.t.Helper()
	p := l.launch(args...)
	p.awaitText("ready")
	return p
}

func (l *lab) launch(args ...string) *process {
	l.t.Helper()
	return l.pod.start(append([]string{program, "run", "--state-dir", l.stateDir, "--hold-after", holdAfter}, args...)...)
}

// verb runs a subcommand of podswitch in the pod to its end.
func (l *lab) verb(args ...string) (stdout, stderr string, code int) {
	l.t.Helper()
	return l.pod.run(append([]string{program}, args...)...)
}

// A statusReport has the output of podswitch status.
type statusReport struct {
	Holder, Address, Gateway string
	WireMAC                  string `json:"wire_mac"`
	RouterMAC                string `json:"router_mac"`
	MTU                      int
	Lease                    *struct{ MAC, Hostname, Expires string }
	Ports                    []struct {
		Name, State string
		Kind        string
		RxFrames    uint64 `json:"rx_frames"`
		RxBytes     uint64 `json:"rx_bytes"`
		TxBytes     uint64 `json:"tx_bytes"`
		TxFrames    uint64 `json:"tx_frames"`
		Drops       map[string]uint64
	}
	IPv6 *struct {
		Holder, Address, Router string
		Lease                   *struct {
			MAC      string
			DUIDKind string `json:"duid_kind"`
		}
	}
	KeeperPID int `json:"keeper_pid"`
	SwitchPID int `json:"switch_pid"`
	Sandbox   string
	Takeovers int
}

func (l *lab) status() (s statusReport) {
	l.t.Helper()
	out, errs, code := l.verb("status", "--control", filepath.Join(l.stateDir, "control.sock"), "-o", "json")
	if code != 0 && out == "" { // it also fails, after its output, while the uplink is down
		l.t.Fatalf("status: %s", errs)
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		l.t.Fatalf("status: %v in %s", err, out)
	}
	return s
}

// awaitHolder waits until status names the holder.
func (l *lab) awaitHolder(want string) {
	l.t.Helper()
	await(l.t, "holder "+want, func() error {
		if got := l.status().Holder; got != want {
			return fmt.Errorf("holder is %s", got)
		}
		return nil
	})
}

// plugGuest moves the tap's interface into the guest's namespace, whose kernel is then the guest.
func (l *lab) plugGuest() {
	l.t.Helper()
	l.pod.batch("link set tap0 netns " + l.guest.name)
	l.guest.batch("link set tap0 up")
}

// leased plugs the guest in and gets the address for it with busybox udhcpc.
// An IPv6 address is configured.
func (l *lab) leased() {
	l.t.Helper()
	l.plugGuest()
	for _, end := range l.ends {
		if end.pod == podAddress {
			l.udhcpc("tap0")
		} else {
			l.uses6(end.pod)
		}
	}
	l.awaitHolder("guest")
}

// snapshot is the output of `ip -j` for the pod interface: addresses, routes of every table, neighbours. Neighbours are sorted, because the
// kernel lists them in the order of a hash table that all namespaces share and that may be rehashed at any time.
func (l *lab) snapshot() string {
	l.t.Helper()
	var all strings.Builder
	for _, args := range [][]string{{"addr", "show", "dev", "eth0"}, {"route"}, {"-4", "route", "show", "table", "all", "dev", "eth0"}, {"-6", "route", "show", "table", "all", "dev", "eth0"}} {
		all.WriteString(must(l.t, "ip", append([]string{"-j", "-n", l.pod.name}, args...)...))
	}
	var neighbours []map[string]any
	l.pod.json(&neighbours, "neigh", "show", "dev", "eth0")
	slices.SortFunc(neighbours, func(a, b map[string]any) int { return strings.Compare(a["dst"].(string), b["dst"].(string)) })
	fmt.Fprintln(&all, neighbours)
	return all.String()
}
