//go:build kubernetes

package kubernetes

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// settings are the kernel's settings that the kubelet, kube-proxy or a network plugin may write.
var settings = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	"net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "net/ipv4/conf/all/rp_filter",
	"net/bridge/bridge-nf-call-iptables", "net/netfilter/nf_conntrack_max",
}

func readSettings() string {
	var all strings.Builder
	for _, name := range settings {
		value, err := os.ReadFile(filepath.Join("/proc/sys", name))
		fmt.Fprintf(&all, "%s = %s %v\n", name, strings.TrimSpace(string(value)), err)
	}
	return all.String()
}

// A trace is what a node may leave on the machine. Other nodes may come and go at the same time.
type trace struct {
	settings string
	pids     string   // its process namespace
	cgroups  []string // their directories
	folder   string   // below which it has mounts
}

func (n *node) trace(settings string) trace {
	n.t.Helper()
	pids, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", n.pid))
	text, err2 := os.ReadFile(filepath.Join(n.folder, "cgroups"))
	if err := errors.Join(err, err2); err != nil {
		n.t.Fatal(err)
	}
	x := trace{settings: settings, pids: pids, folder: n.folder}
	for _, line := range lines(string(text)) {
		_, dir, _ := strings.Cut(line, " ")
		x.cgroups = append(x.cgroups, dir)
	}
	return x
}

// check checks that nothing of a node is left.
func (x trace) check(t *testing.T) {
	t.Helper()
	if x.pids == "" {
		return // it has not started
	}
	if after := readSettings(); after != x.settings {
		t.Errorf("the kernel's settings were\n%sand are now\n%s", x.settings, after)
	}
	for _, dir := range x.cgroups {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s remains", dir)
		}
	}
	namespaces, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range namespaces {
		if found, err := os.Readlink(path); err == nil && found == x.pids {
			t.Errorf("%s: a process of the node remains", path)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), x.folder) {
		t.Errorf("mounts below %s remain, or %v", x.folder, err)
	}
	for _, device := range []string{"node0", "cni0", "flannel.1"} {
		if _, err := net.InterfaceByName(device); err == nil {
			t.Errorf("the machine has the device %s", device)
		}
	}
}
