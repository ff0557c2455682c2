package podman_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// longestGap bounds the time in which an open connection stands still while a part of podswitch starts again. The measured times are in
// deploy/README.md; this suits a busy machine.
const longestGap = 30 * time.Second

// A part is what a test kills in a pod.
type part struct {
	what, container string
	match           func(process) bool
}

// first matches the first process of a container, with which the kernel kills all others.
func first(p process) bool { return p.inside == "1" }

// watchdog matches the process that waits for the end of the keeper.
func watchdog(p process) bool { return strings.Contains(p.command, " restore ") }

// supervised matches the process that the first process of its container starts again.
func supervised(p process) bool { return p.parent == "1" && !watchdog(p) }

// child matches the switch that podswitch run has started.
func child(p process) bool { return !first(p) && !supervised(p) && !watchdog(p) }

// pods are the manifests with their parts and their containers in the order in which a kubelet stops them.
var pods = []struct {
	manifest string
	parts    []part
	stop     []string
	takeOver func(*pod) func()
}{
	{
		manifest: "sidecar.yaml",
		parts: []part{{"the watchdog", "keeper", watchdog}, {"the switch", "switch", supervised}, {"the keeper", "keeper", supervised},
			{"the switch's container", "switch", first}, {"the keeper's container", "keeper", first}},
		stop:     []string{"qemu", "switch", "keeper"},
		takeOver: func(p *pod) func() { return p.takeOverByContainer },
	},
	{
		manifest: "single.yaml",
		parts: []part{{"the watchdog", "podswitch", watchdog}, {"the switch", "podswitch", child}, {"the keeper", "podswitch", supervised},
			{"the container", "podswitch", first}},
		stop:     []string{"qemu", "podswitch"},
		takeOver: func(p *pod) func() { return p.takeOver },
	},
}

// TestPods runs each manifest through a pod's life: the guest has the pod's address, and an open connection to it goes on while parts of
// podswitch are killed, taken over and changed for another image. At the end the pod has its address back. QEMU is never started again, so it
// has connected again by itself.
func TestPods(t *testing.T) {
	for _, test := range pods {
		t.Run(test.manifest, func(t *testing.T) {
			p := play(t, test.manifest)
			if addresses := p.ip("-4", "-brief", "addr", "show", "dev", "eth0"); strings.Contains(addresses, p.address()) {
				t.Errorf("the pod's interface still has the address: %s", addresses)
			}
			checkPrivileges(t, p, test.manifest)
			page, hypervisor := fetch(t, p.address()), p.pid("vm-qemu")
			c := connect(t, p.address())
			for _, part := range test.parts {
				p.measure(c, "kill -9 of "+part.what, func() { p.kill(part.container, part.match) })
			}
			p.measure(c, "a takeover", test.takeOver(p))
			for _, name := range test.stop[1:] {
				c = p.measureChange(c, name)
			}
			if after := fetch(t, p.address()); after != page || p.pid("vm-qemu") != hypervisor {
				t.Errorf("the page of the guest was %q and is %q", page, after)
			}
			p.stopInOrder(test.stop)
		})
	}
}

// measure does something to the pod while a connection is open, and waits until the guest has the address again.
func (p *pod) measure(c *connection, what string, do func()) {
	p.t.Helper()
	c.quiet(p.t)
	c.gap()
	do()
	p.awaitGuest()
	c.quiet(p.t)
	p.logGap(what, c.gap())
}

func (p *pod) logGap(what string, gap time.Duration) {
	p.t.Helper()
	p.t.Logf("%s: the connection stood still for %s", what, gap.Round(time.Millisecond))
	if gap > longestGap {
		p.t.Errorf("%s: want at most %s", what, longestGap)
	}
}

// changes bounds the changes of an image until a connection survives one. A keeper waits 2 s for its switch before it gives the address back,
// and a machine may be too busy for that.
const changes = 3

// measureChange changes the image of a container, and returns the connection, or another one if a change has ended it.
func (p *pod) measureChange(c *connection, name string) *connection {
	p.t.Helper()
	for range changes {
		c.quiet(p.t)
		c.gap()
		p.changeImage(name)
		p.awaitGuest()
		err := c.awaitQuiet()
		if err == nil {
			p.logGap("another image of "+name, c.gap())
			return c
		}
		p.t.Logf("another image of %s: %v", name, err)
		c = connect(p.t, p.address())
	}
	p.t.Errorf("another image of %s: no connection has survived one of %d changes", name, changes)
	return c
}

// takeOver replaces the switch in the container of single.yaml while it runs.
func (p *pod) takeOver() {
	before := p.switchProcess()
	p.podman("exec", "--detach", "vm-podswitch", "/podswitch", "run", "--takeover", "--state-dir=/run/podswitch/state")
	p.await("the new switch", func() error { return p.logs("podswitch", "takeover") })
	p.await("the end of the old switch", func() error { return p.gone(before) })
}

// takeOverByContainer replaces the container of the switch by another one while it runs. The first one stands by, and goes on when the other
// one has ended.
func (p *pod) takeOverByContainer() {
	p.t.Helper()
	p.podman(p.manifest.RunCommand("switch", "vm-other", "podswitch:dev", "--takeover")...)
	p.await("the takeover", func() error { return p.logs("switch", "handed over") })
	p.awaitGuest()
	p.podman("rm", "--force", "--time", "0", "vm-other")
}

// changeImage stops a container and starts it from another image.
func (p *pod) changeImage(name string) {
	p.t.Helper()
	p.podman("tag", "podswitch:dev", "podswitch:next")
	p.podman("stop", "vm-"+name)
	p.podman("rm", "vm-"+name)
	p.podman(p.manifest.RunCommand(name, "vm-"+name, "podswitch:next")...)
	if used := p.podman("inspect", "--format", "{{.ImageName}}", "vm-"+name); used != "localhost/podswitch:next" {
		p.t.Errorf("%s runs the image %s", name, used)
	}
}

// stopInOrder stops the containers as a kubelet does, and checks that the pod has its address back.
func (p *pod) stopInOrder(names []string) {
	p.t.Helper()
	for _, name := range names {
		p.podman("stop", "vm-"+name)
		if code := p.podman("inspect", "--format", "{{.State.ExitCode}}", "vm-"+name); code != "0" && name != "qemu" {
			p.t.Errorf("%s ended with exit code %s", name, code)
		}
	}
	p.expectAddress()
}

// expectAddress checks that the pod's own interface is as podman has made it, and answers.
func (p *pod) expectAddress() {
	p.t.Helper()
	if addresses := strings.Fields(p.ip("-4", "-brief", "addr", "show", "dev", "eth0")); !slices.Equal(addresses[1:], []string{"UP", p.prefix}) {
		p.t.Errorf("the pod's interface has %v, want %s", addresses, p.prefix)
	}
	if routes := p.ip("route"); !strings.HasPrefix(routes, "default via "+p.gateway+" dev eth0") {
		p.t.Errorf("the pod's routes are %s", routes)
	}
	inNode(p.t, "ping", "-c", "1", "-W", "5", p.address())
}
