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

// TestSidecar starts the containers of sidecar.yaml as their security contexts say, in their order, and ends them in the order
// in which a kubelet does.
func TestSidecar(t *testing.T) {
	l := newLab(t, "sidecar.yaml")
	before := l.pristine()
	keeper := l.launch("keeper")
	keeper.awaitText("waiting for a switch")
	if after := l.pristine(); after != before {
		t.Errorf("a keeper without a switch has changed the pod's network: it was\n%s\nand is\n%s", before, after)
	}
	sw := l.launch("switch")
	l.awaitStatus("switch")
	if strings.Contains(l.pristine(), "10.244.1.7") {
		t.Errorf("the address is still the kernel's:\n%s", l.pristine())
	}
	must(t, "ip", "netns", "exec", l.node, "ping", "-c1", "-W5", "10.244.1.7")
	l.checkLocked(sw)
	qemu := l.launch("qemu")
	qemu.awaitText(answered)

	qemu.stop()
	sw.stop()
	l.awaitPristine(before)
	keeper.stop()
	l.awaitPristine(before)
}

// awaitStatus waits until a container's probe succeeds, and says what it does not have to: that the address is the switch's.
func (l *lab) awaitStatus(name string) {
	l.t.Helper()
	await(l.t, "status", func() error {
		p := l.probed(name)
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

// checkLocked looks from outside whether a container's process is user 107, without any capability, and filtered (proc(5)).
func (l *lab) checkLocked(p *process) {
	l.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
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

// TestKeeperKilled kills the container that has the privileges, with its watchdog in it. What it leaves in the volumes must not
// keep its successor from work, nor from giving back.
func TestKeeperKilled(t *testing.T) {
	for _, name := range []string{"sidecar.yaml", "single.yaml"} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, name)
			before := l.pristine()
			for range 2 {
				running := l.launchAll()
				running[0].kill()
				for _, p := range running[1:] { // it ends by itself, and is started again with its keeper
					p.wait()
				}
			}
			running := l.launchAll()
			for _, p := range slices.Backward(running) {
				p.stop()
			}
			l.awaitPristine(before)
		})
	}
}

// launchAll starts the sidecars, and waits until the address is the switch's.
func (l *lab) launchAll() (running []*process) {
	l.t.Helper()
	for _, c := range l.manifest.Spec.InitContainers {
		p := l.launch(c.Name)
		if c.StartupProbe == nil {
			p.awaitText("waiting for a switch")
		} else {
			l.awaitStatus(c.Name)
		}
		running = append(running, p)
	}
	return running
}

// TestNothingToSpare takes one capability at a time away from the container that has some, and wants that it fails for want of it,
// with the pod's network as it was.
func TestNothingToSpare(t *testing.T) {
	for _, name := range []string{"sidecar.yaml", "single.yaml"} {
		for _, spare := range readManifest(t, name).Spec.InitContainers[0].SecurityContext.Capabilities.Add {
			t.Run(name+" without "+spare, func(t *testing.T) {
				l := newLab(t, name)
				before := l.pristine()
				c := l.manifest.Spec.InitContainers[0]
				i := l.isolated(c, spare)
				i.Args = c.Args
				first := l.enter(c.Name, i)
				await(t, "a complaint of CAP_"+spare, func() error {
					if len(l.manifest.Spec.InitContainers) > 1 && !ended(first) {
						if code := l.launch("switch").wait(); code != 3 {
							t.Errorf("the switch ends with code %d, want 3: something is missing", code)
						}
					}
					if !strings.Contains(first.text(), "CAP_"+spare) {
						return errors.New("nothing yet")
					}
					return nil
				})
				l.awaitPristine(before)
			})
		}
	}
}

// ended tells whether the process has.
func ended(p *process) bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
