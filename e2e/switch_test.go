package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// TestSwitch connects three namespaces by podswitch switch, with two taps and a packet socket on a veth.
func TestSwitch(t *testing.T) {
	l := newLab(t)
	l.pod.batch("link add v0 type veth peer name v1", "link set v0 up", "link set v1 netns "+l.peer.name)
	socket := filepath.Join(l.stateDir, "control.sock")
	p := l.pod.start(program, "switch", "--port", "tap:t0", "--port", "tap:t1", "--port", "packet:v0", "--control", socket)
	p.awaitText("ready")
	l.pod.batch("link set t0 netns "+l.guest.name, "link set t1 netns "+l.node.name)
	for _, end := range []struct {
		n      namespace
		device string
		cidr   string
	}{{l.guest, "t0", "192.0.2.1/24"}, {l.node, "t1", "192.0.2.2/24"}, {l.peer, "v1", "192.0.2.3/24"}} {
		end.n.batch("addr add "+end.cidr+" dev "+end.device, "link set "+end.device+" up")
	}
	for _, n := range []namespace{l.guest, l.node, l.peer} {
		for _, to := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
			n.must("ping", "-c1", "-W2", to)
		}
	}
	l.peer.serves("sink", "192.0.2.3:5000")
	l.guest.sends("192.0.2.3:5000", 100_000_000)
	out, errs, code := l.verb("fdb", "--control", socket, "-o", "json")
	if code != 0 {
		t.Fatalf("fdb: %s", errs)
	}
	var stations []struct{ MAC, Port string }
	if err := json.Unmarshal([]byte(out), &stations); err != nil {
		t.Fatal(err)
	}
	where := map[string]string{}
	for _, s := range stations {
		where[s.MAC] = s.Port
	}
	for device, n := range map[string]namespace{"t0": l.guest, "t1": l.node, "v1": l.peer} {
		want := map[string]string{"t0": "t0", "t1": "t1", "v1": "v0"}[device]
		if got := where[l.mac(n, device)]; got != want {
			t.Errorf("%s is at port %q, want %q", device, got, want)
		}
	}
	p.stop()
}

// TestPlainBridge runs the connection method without delegateIp: the guest is a station on the pod's network, the pod keeps its address, and
// neither receives unicast frames for the other.
func TestPlainBridge(t *testing.T) {
	l := newLab(t)
	before := l.snapshot()
	vm := write(t, filepath.Join(t.TempDir(), "vm.yaml"),
		"kind: VM\nspec: {devices: {interfaces: [{name: red, bridge: {}, macAddress: '02:00:00:00:00:42'}]}, networks: [{name: red, pod: {}}]}\n", 0o644)
	l.pod.batch("link add v0 type veth peer name tap0", "link set v0 mtu 1450 up")
	p := l.podswitch("--vm", vm, "--guest", "packet:v0")
	l.plugGuest()
	l.guest.batch("addr add 10.244.1.50/24 dev tap0")
	if _, _, code := l.guest.run("ping", "-c1", "-W1", peerAddress); code == 0 {
		t.Error("a guest with another MAC than that of the VM document is connected")
	}
	l.guest.batch("link set tap0 down", "link set tap0 address 02:00:00:00:00:42", "link set tap0 up")
	l.guest.must("ping", "-c2", "-i0.2", "-W2", peerAddress)
	l.peer.must("ping", "-c2", "-i0.2", "-W2", "10.244.1.50")
	l.pod.must("ping", "-c1", "-W2", peerAddress)
	l.peer.serves("sink", ":5000")
	l.guest.sends(peerAddress+":5000", 100_000_000)
	_, _, _ = l.guest.run("ping", "-c1", "-W1", podAddress)
	if out := l.guest.must("ip", "neigh", "show", podAddress); strings.Contains(out, l.mac(l.pod, "v0")) {
		t.Errorf("the pod's kernel answers the guest on v0: %s", out)
	}
	if s := l.status(); s.Holder != "kernel" || s.Address != podAddress+"/24" || s.WireMAC != podMAC || s.MTU != podMTU {
		t.Errorf("status %+v", s)
	}
	before2 := l.guestReceived()
	l.peer.must("ping", "-c5", "-i0.2", "-W2", podAddress)
	if n := l.guestReceived() - before2; n > 2 { // a broadcast may pass
		t.Errorf("%d frames for the pod reached the guest", n)
	}
	p.stop()
	if after := l.snapshot(); withoutNeighbours(after) != withoutNeighbours(before) {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// guestReceived counts the frames that the switch sent to the guest.
func (l *lab) guestReceived() uint64 {
	l.t.Helper()
	for _, p := range l.status().Ports {
		if p.Name == "guest" {
			return p.TxFrames
		}
	}
	l.t.Fatal("no guest port in the status")
	return 0
}

// TestLoopGuard connects two ports of a switch to one bridge of the kernel. Without the guard the first broadcast circulates for ever.
func TestLoopGuard(t *testing.T) {
	l := newLab(t)
	l.pod.batch("link add br0 type bridge", "link add v0 type veth peer name b0", "link add v1 type veth peer name b1")
	for _, device := range []string{"v0", "v1"} {
		l.pod.batch("link set " + device + " up")
	}
	p := l.pod.start(program, "switch", "--port", "packet:v0", "--port", "packet:v1", "--loop-guard", "--control", filepath.Join(l.stateDir, "control.sock"))
	p.awaitText("ready")
	l.pod.batch("link set b0 master br0 up", "link set b1 master br0 up", "link set br0 up", "addr add 192.0.2.1/24 dev br0")
	p.awaitText("the loop guard blocks a port")
	if text := p.text(); !strings.Contains(text, `"port": "v1", "probe_from": "v0"`) {
		t.Errorf("the warning does not name v1 and v0: %s", text)
	}
	before := l.received()
	_, _, _ = l.pod.run("ping", "-c3", "-i0.3", "-W1", "192.0.2.2")
	if n := l.received() - before; n < 3 || n > 300 {
		t.Errorf("%d frames enter for three ARP requests", n)
	}
	p.stop()
}

// received counts the frames that have entered the switch.
func (l *lab) received() (n uint64) {
	for _, p := range l.status().Ports {
		n += p.RxFrames
	}
	return n
}
