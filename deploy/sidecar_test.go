package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestSidecarsWorkWithTheirPrivileges starts the containers of sidecar.yaml with their security contexts, in their order, and stops them in the kubelet's order.
func TestSidecarsWorkWithTheirPrivileges(t *testing.T) {
	l := newLab(t, "sidecar.yaml")
	before := l.podNetwork()
	keeper := l.launch("keeper")
	keeper.awaitText("waiting for a switch")
	if after := l.podNetwork(); after != before {
		t.Errorf("a keeper without a switch has changed the pod's network: before\n%s\nafter\n%s", before, after)
	}
	l.awaitKeeper()
	waiting := l.probe("switch") // as the user of the switch, who owns the control socket
	if code := waiting.wait(); code != 1 || !strings.Contains(waiting.text(), "waits for a switch") {
		t.Errorf("the probe beside a keeper without a switch: exit code %d: %s", code, waiting.text())
	}
	sw := l.launch("switch")
	l.awaitStatus("switch")
	if on := must(t, "ip", "-n", l.pod, "-4", "-j", "addr", "show", "dev", "eth0"); strings.Contains(on, "10.244.1.7") {
		t.Errorf("the kernel still has the address:\n%s", on)
	}
	must(t, "ip", "netns", "exec", l.node, "ping", "-c1", "-W5", "10.244.1.7")
	l.checkSandbox(sw)
	qemu := l.launch("qemu")
	qemu.awaitText(answered)

	qemu.stop()
	sw.stop()
	l.awaitPodNetwork(before)
	keeper.stop()
	l.awaitPodNetwork(before)
}

// awaitKeeper waits until the probe of the keeper succeeds.
func (l *lab) awaitKeeper() {
	l.t.Helper()
	await(l.t, "the keeper", func() error {
		if p := l.probe("keeper"); p.wait() != 0 {
			return errors.New(p.text())
		}
		return nil
	})
}

// awaitStatus waits until a container's probe succeeds and reports that the switch holds the address.
func (l *lab) awaitStatus(name string) {
	l.t.Helper()
	await(l.t, "status", func() error {
		p := l.probe(name)
		if code := p.wait(); code != 0 {
			return fmt.Errorf("exit code %d: %s", code, p.text())
		}
		var status struct{ Holder, Address string }
		if err := json.Unmarshal([]byte(p.text()), &status); err != nil {
			return fmt.Errorf("%w in %s", err, p.text())
		}
		if status.Holder != "switch" || status.Address != "10.244.1.7/24" {
			return fmt.Errorf("%+v: want the switch to hold 10.244.1.7/24", status)
		}
		return nil
	})
}

// checkSandbox checks in /proc that a container's switch has user 107, no capability, and a seccomp filter (proc(5)). It is the child of the
// first process.
func (l *lab) checkSandbox(p *process) {
	l.t.Helper()
	child := strings.TrimSpace(must(l.t, "pgrep", "-P", fmt.Sprint(p.cmd.Process.Pid)))
	text, err := os.ReadFile(fmt.Sprintf("/proc/%s/status", child))
	if err != nil {
		l.t.Fatal(err)
	}
	none := "0000000000000000"
	for field, want := range map[string]string{"Uid": "107 107 107 107", "Groups": "107", "NoNewPrivs": "1", "Seccomp": "2",
		"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none} {
		if !slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
			return strings.Join(strings.Fields(line), " ") == field+": "+want
		}) {
			l.t.Errorf("%s: want %s: %s in\n%s", p.name, field, want, text)
		}
	}
}

// TestTheNextKeeperGivesBackAfterAKill kills the container with the privileges, and with the watchdog. What it leaves in the volumes must not prevent the next
// one from taking the address and giving it back.
func TestTheNextKeeperGivesBackAfterAKill(t *testing.T) {
	for _, name := range []string{"sidecar.yaml", "single.yaml"} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, name)
			before := l.podNetwork()
			for range 2 {
				running := l.launchAll()
				running[0].kill()
				for _, p := range running[1:] { // it waits for the next keeper
					p.awaitText("waiting for the keeper")
					p.stop()
				}
			}
			running := l.launchAll()
			for _, p := range slices.Backward(running) {
				p.stop()
			}
			l.awaitPodNetwork(before)
		})
	}
}

// launchAll starts the sidecars, and waits until the switch holds the address.
func (l *lab) launchAll() (running []*process) {
	l.t.Helper()
	for _, c := range l.manifest.Spec.InitContainers {
		p := l.launch(c.Name)
		if c.Name == "keeper" {
			l.awaitKeeper()
		} else {
			l.awaitStatus(c.Name)
		}
		running = append(running, p)
	}
	return running
}

// TestEveryCapabilityIsNeeded removes each capability from the container in turn. The container must fail with a message that names the capability,
// and leave the pod's network as before.
func TestEveryCapabilityIsNeeded(t *testing.T) {
	for _, name := range []string{"sidecar.yaml", "single.yaml"} {
		for _, capability := range readManifest(t, name).Spec.InitContainers[0].SecurityContext.Capabilities.Add {
			t.Run(name+" without "+capability, func(t *testing.T) {
				l := newLab(t, name)
				before := l.podNetwork()
				c := l.manifest.Spec.InitContainers[0]
				i := l.isolated(c, capability)
				i.Args = c.Args
				first := l.enter(c.Name, i)
				if len(l.manifest.Spec.InitContainers) > 1 {
					l.launch("switch") // without it the keeper opens nothing
				}
				await(t, "an error that names CAP_"+capability, func() error {
					if !strings.Contains(first.text(), "CAP_"+capability) {
						return errors.New("not yet")
					}
					return nil
				})
				l.awaitPodNetwork(before)
			})
		}
	}
}
