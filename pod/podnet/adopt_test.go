package podnet

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// adopt continues what another process has taken, with the lock, which the end of the test releases.
func (p *pod) adopt() *Taken {
	p.t.Helper()
	lock, err := Lock(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { lock.Close() })
	taken, err := Adopt(p.dir, p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return taken
}

func TestAdoptContinuesAfterAKill(t *testing.T) {
	p, before := newCrowdedPod(t)
	p.takeAndDie()
	taken := p.adopt()
	if taken == nil {
		t.Fatal("Adopt does not continue")
	}
	if left := p.addresses(); left != "" {
		t.Errorf("on the interface: %s", left)
	}
	if tables := p.run("nft", "list", "tables"); !strings.Contains(tables, "podswitch") {
		t.Errorf("the kernel is not silenced: %q", tables)
	}
	if got := taken.Identity(); len(got.Addresses) != 3 || got.Link.Name != "eth0" {
		t.Errorf("the identity is %+v", got)
	}
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

// Adopt after a kill at each step continues, or changes nothing, and RestoreLocked completes.
func TestAdoptAfterAKillAtEveryStep(t *testing.T) {
	for _, operation := range []string{"take", "giveback"} {
		t.Run(operation, func(t *testing.T) {
			p, before := newCrowdedPod(t)
			lock, err := Lock(p.dir)
			if err != nil {
				t.Fatal(err)
			}
			adopted := 0
			for step, killed := 1, true; killed; step++ {
				lock.Close()
				killed = p.crash(operation, step, silenceNftables)
				if lock, err = Lock(p.dir); err != nil {
					t.Fatal(err)
				}
				taken, err := Adopt(p.dir, p.log)
				if err == nil && taken != nil {
					adopted++
					err = taken.GiveBack()
				} else if err == nil {
					_, err = RestoreLocked(p.dir)
				}
				if err != nil {
					t.Fatalf("step %d: %v", step, err)
				}
				p.wantAs(before)
			}
			lock.Close()
			if operation == "take" && adopted == 0 {
				t.Error("Adopt continues after no step")
			}
		})
	}
}

func TestAdoptLeavesOtherStatesAlone(t *testing.T) {
	for name, change := range map[string]func(p *pod){
		"no state file":         func(*pod) {},
		"another MAC":           func(p *pod) { p.takeAndDie(); p.ip("link set eth0 address 0a:58:0a:f4:01:08") },
		"an address came back":  func(p *pod) { p.takeAndDie(); p.ip("addr add 10.22.0.9/24 dev eth0") },
		"another address":       func(p *pod) { p.takeAndDie(); p.ip("addr add 10.99.0.9/24 dev eth0") },
		"silenced with sysctls": func(p *pod) { p.sysctl("net/ipv4/conf/eth0/forwarding", "1"); p.crash("take", 0, silenceSysctls) },
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := newCrowdedPod(t)
			change(p)
			before := p.snapshot()
			if taken := p.adopt(); taken != nil {
				t.Error("Adopt continues")
			}
			if diff := cmp.Diff(before, p.snapshot()); diff != "" {
				t.Errorf("the pod differs (-before +after):\n%s", diff)
			}
		})
	}
}

// A running podswitch with another state directory has the interface.
func TestAdoptRefusesATakenInterface(t *testing.T) {
	p, _ := newCrowdedPod(t)
	p.takeAndDie()
	table, err := silenceTaken(p.discover())
	if err != nil {
		t.Fatal(err)
	}
	if taken := p.adopt(); taken != nil {
		t.Error("Adopt continues")
	}
	if _, err := RestoreLocked(p.dir); !errors.Is(err, ErrTaken) {
		t.Errorf("RestoreLocked = %v", err)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
}

// Between the end of one process and the next one no table silences the kernel. It answers nothing for an address that no interface has.
func TestTheKernelIsSilentAfterAKill(t *testing.T) {
	for _, forwarding := range []string{"0", "1"} {
		t.Run("forwarding "+forwarding, func(t *testing.T) {
			p := newPod(t)
			n := p.newNode("10.244.1.1/24")
			p.ip("addr add 10.244.1.7/24 dev eth0")
			p.sysctl("net/ipv4/ip_forward", forwarding)
			n.awaitPing("10.244.1.7")
			mac := strings.Fields(p.run("ip", "-br", "link", "show", "dev", "eth0"))[2]
			p.takeAndDie()
			sent := newPacketSocket(t)
			n.run("ip", "neigh", "flush", "dev", "node0")
			if n.pings("10.244.1.7") {
				t.Error("the kernel answers ARP")
			}
			n.run("ip", "neigh", "replace", "10.244.1.7", "lladdr", mac, "dev", "node0", "nud", "permanent")
			if n.pings("10.244.1.7") {
				t.Error("the kernel answers a ping")
			}
			_ = n.command("timeout", "0.5", "bash", "-c", "echo > /dev/tcp/10.244.1.7/80").Run()
			_ = n.command("bash", "-c", "echo > /dev/udp/10.244.1.7/9").Run()
			if received, frames := countFrames(t, sent); received < 4 || frames != 0 {
				t.Errorf("the kernel has received %d ARP and IPv4 frames, and sent %d", received, frames)
			}
		})
	}
}
