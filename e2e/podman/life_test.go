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

// child matches the switch that podswitch run has started.
func child(p process) bool { return !first(p) && !watchdog(p) }

// pods are the manifests with their parts and their containers in the order in which a kubelet stops them.
var pods = []struct {
	manifest string
	parts    []part
	stop     []string
	takeOver func(*pod) func()
}{
	{
		manifest: "sidecar.yaml",
		parts:    []part{{"the watchdog", "keeper", watchdog}, {"the switch", "switch", first}, {"the keeper", "keeper", first}},
		stop:     []string{"qemu", "switch", "keeper"},
		takeOver: func(p *pod) func() { return p.takeOverByContainer },
	},
	{
		manifest: "single.yaml",
		parts:    []part{{"the watchdog", "podswitch", watchdog}, {"the switch", "podswitch", child}, {"keeper and switch", "podswitch", first}},
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
				p.measure(c, "rm -f -t 0 and another image of "+name, func() { p.startAgain(name, "podswitch:next", "rm", "--force", "--time", "0") })
			}
			p.restartInOrder(test.stop[1])
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
	do()
	p.awaitGuest()
	gap := c.quiet(p.t)
	p.t.Logf("%s: the connection stood still for %s", what, gap.Round(time.Millisecond))
	if gap > longestGap {
		p.t.Errorf("%s: want at most %s", what, longestGap)
	}
}

// takeOver replaces the switch in the container of single.yaml while it runs.
func (p *pod) takeOver() {
	before := p.switchProcess()
	p.podman("exec", "--detach", "vm-podswitch", "/podswitch", "run", "--takeover", "--state-dir=/run/podswitch/state")
	p.await("the new switch", func() error { return p.logs("podswitch", "takeover") })
	p.await("the end of the old switch", func() error { return p.gone(before) })
}

// takeOverByContainer replaces the container of the switch by one of another image, while it runs.
func (p *pod) takeOverByContainer() {
	p.podman("tag", "podswitch:dev", "podswitch:new")
	p.podman(p.manifest.RunCommand("switch", "vm-switch-new", "podswitch:new", "--takeover")...)
	p.await("the end of the old switch", func() error { return p.logs("switch", "handed over") })
	p.await("podman to remove a container that it starts again and again", func() error {
		_, err := node.Run(p.t.Context(), "podman", "rm", "--force", "--ignore", "--time", "0", "vm-switch")
		return err
	})
	p.podman("rename", "vm-switch-new", "vm-switch")
}

// startAgain ends a container by a command of podman, and starts it again from another image.
func (p *pod) startAgain(name, image string, end ...string) {
	p.t.Helper()
	p.podman("tag", "podswitch:dev", image)
	p.podman(append(end, "vm-"+name)...)
	p.podman("rm", "--ignore", "vm-"+name)
	p.podman(p.manifest.RunCommand(name, "vm-"+name, image)...)
	if used := p.podman("inspect", "--format", "{{.ImageName}}", "vm-"+name); used != "localhost/"+image {
		p.t.Errorf("%s runs the image %s", name, used)
	}
}

// restartInOrder stops the container with the switch in order and starts it from another image. In between the pod has its address.
func (p *pod) restartInOrder(name string) {
	p.t.Helper()
	p.podman("stop", "vm-"+name)
	p.expectAddress()
	p.startAgain(name, "podswitch:after", "rm")
	p.awaitGuest()
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
