package podnet

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// TestMute shows that the address stays while the kernel neither hears nor speaks, and that all of it ends with Close.
func TestMute(t *testing.T) {
	p := newPod(t)
	node := p.newNode()
	p.ip("addr add 10.244.1.7/24 dev eth0")
	p.run(node[0], append(node[1:], "ip", "addr", "add", "10.244.1.1/24", "dev", "node0")...)
	await(t, "the pod to answer before", func() bool { return answers(node, "10.244.1.7") })
	before := p.snapshot()
	id := p.discover()
	mute, err := Mute(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Mute(id); !errors.Is(err, ErrTaken) {
		t.Errorf("a second Mute: %v", err)
	}
	if _, err := Discover("eth0"); !errors.Is(err, ErrTaken) {
		t.Errorf("Discover while muted: %v", err)
	}
	if got := p.addresses(); !strings.Contains(got, "10.244.1.7/24") {
		t.Errorf("addresses %q", got)
	}
	frames := packetSocket(t)
	if answers(node, "10.244.1.7") {
		t.Error("the kernel answers while muted")
	}
	if pending(t, frames) == 0 {
		t.Error("the packet socket saw nothing")
	}
	if out, err := exec.Command("ping", "-c1", "-W1", "10.244.1.1").CombinedOutput(); err == nil {
		t.Errorf("the pod's own ping passes while muted: %s", out)
	}
	if err := mute.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the pod to answer after", func() bool { return answers(node, "10.244.1.7") })
	p.wantAs(before)
}

func TestTables(t *testing.T) {
	p := newPod(t)
	if got := Tables(); len(got) > 0 {
		t.Errorf("tables %v in a new namespace", got)
	}
	p.run("nft", "add", "table", "ip", "openshift-block-output")
	p.run("nft", "add", "table", "inet", "mesh")
	p.run("nft", "add", "table", "ip", tablePrefix+"7")
	if got := strings.Join(Tables(), " "); got != "openshift-block-output mesh" {
		t.Errorf("tables %q", got)
	}
}
