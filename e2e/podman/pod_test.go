package podman_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podswitch/podswitch/e2e/kit/manifest"
)

// A pod is a manifest of deploy that podman plays, with a guest.
type pod struct {
	t        *testing.T
	manifest manifest.Pod
	infra    string // the container that has the pod's network
	prefix   string // the pod's address, as "10.89.0.2/24"
	gateway  string
}

// play starts the pod of a manifest, and waits until the guest serves with the pod's address. podman ends the network of a pod
// with the last container of a manifest; here another one outlives them, so that the network can be seen then.
func play(t *testing.T, name string) *pod {
	t.Helper()
	read, err := manifest.Read(filepath.Join("../../deploy", name), manifest.Guest, manifest.Podman)
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{t: t, manifest: read}
	text, err := read.Text()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.remove(file) })
	for _, command := range read.Volumes() {
		p.podman(command...)
	}
	p.podman("kube", "play", file)
	p.readNetwork()
	p.podman("run", "--detach", "--pod", "vm", "--name", "vm-observer", p.podman("inspect", "--format", "{{.ImageName}}", p.infra))
	p.await("the guest to serve", func() error { return p.logs("qemu", "guest: serving") })
	if err := p.logs("qemu", "guest: lease "+p.prefix+" router="+p.gateway+" "); err != nil {
		t.Error(err)
	}
	return p
}

// remove removes the pod. The logs of a pod whose test has failed are shown before.
func (p *pod) remove(file string) {
	ctx := context.Background()
	if p.t.Failed() {
		for _, c := range p.manifest.Containers() {
			out, err := node.Run(ctx, "sh", "-c", fmt.Sprintf("podman logs vm-%s 2>&1 | uniq | tail -n 25", c["name"]))
			p.t.Logf("%s (%v):\n%s", c["name"], err, out)
		}
	}
	for _, command := range [][]string{{"kube", "down", file}, {"volume", "rm", "--all", "--force"}} {
		if _, err := node.Run(ctx, append([]string{"podman"}, command...)...); err != nil {
			p.t.Error(err)
		}
	}
	if left, err := node.Run(ctx, "podman", "ps", "--all", "--quiet"); left != "" || err != nil {
		p.t.Errorf("containers remain: %q (%v)", left, err)
	}
}

func (p *pod) podman(args ...string) string {
	p.t.Helper()
	return inNode(p.t, append([]string{"podman"}, args...)...)
}

// readNetwork asks podman which address it has given to the pod.
func (p *pod) readNetwork() {
	p.t.Helper()
	p.infra = p.podman("pod", "inspect", "vm", "--format", "{{.InfraContainerID}}")
	var containers []struct {
		NetworkSettings struct {
			Networks map[string]struct {
				IPAddress, Gateway string
				IPPrefixLen        int
			}
		}
	}
	if err := json.Unmarshal([]byte(p.podman("inspect", p.infra)), &containers); err != nil {
		p.t.Fatal(err)
	}
	for _, n := range containers[0].NetworkSettings.Networks {
		p.prefix, p.gateway = fmt.Sprintf("%s/%d", n.IPAddress, n.IPPrefixLen), n.Gateway
	}
}

func (p *pod) address() string {
	address, _, _ := strings.Cut(p.prefix, "/")
	return address
}

// ip runs ip(8) in the pod's network.
func (p *pod) ip(args ...string) string {
	p.t.Helper()
	return inNode(p.t, append([]string{"nsenter", "--net=/proc/" + p.pid(p.infra) + "/ns/net", "ip"}, args...)...)
}

// pid returns the first process of a container, as the node sees it.
func (p *pod) pid(container string) string {
	p.t.Helper()
	return p.podman("inspect", "--format", "{{.State.Pid}}", container)
}

// logs returns an error unless a container has printed a line with text.
func (p *pod) logs(name, text string) error {
	p.t.Helper()
	out := inNode(p.t, "sh", "-c", "podman logs vm-"+name+" 2>&1")
	if !strings.Contains(out, text) {
		return fmt.Errorf("%s has not printed %q", name, text)
	}
	return nil
}

// await polls until condition returns nil.
func (p *pod) await(what string, condition func() error) {
	p.t.Helper()
	deadline := time.Now().Add(timeout)
	for err := condition(); err != nil; err = condition() {
		if time.Now().After(deadline) {
			p.t.Fatalf("waited %s for %s: %v", timeout, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// awaitGuest waits until podswitch's status says that the guest has the address and QEMU is attached, asked in the container that a manifest's probe asks.
func (p *pod) awaitGuest() {
	p.t.Helper()
	container, control := "vm-switch", "/run/podswitch/keeper/control.sock"
	if p.manifest.Container("switch") == nil {
		container, control = "vm-podswitch", "/run/podswitch/state/control.sock"
	}
	p.await("the guest to have the address", func() error {
		ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
		defer cancel()
		out, err := node.Run(ctx, "podman", "exec", container, "/podswitch", "status", "--control", control, "-o", "json")
		if err == nil && !regexp.MustCompile(`"holder": ?"guest"`).MatchString(out) {
			err = fmt.Errorf("status: %s", out)
		}
		if err == nil && strings.Contains(out, "no-hypervisor") {
			err = fmt.Errorf("no hypervisor is attached: %s", out)
		}
		return err
	})
}

// A process is a process of a container.
type process struct {
	pid            string // as the node sees it
	inside, parent string // as the container sees the process, and its parent
	command        string
}

// processes returns the processes of a container.
func (p *pod) processes(name string) (list []process) {
	p.t.Helper()
	for line := range strings.Lines(p.podman("top", "vm-"+name, "hpid", "pid", "ppid", "args")) {
		if f := strings.Fields(line); f[0] != "HPID" {
			list = append(list, process{f[0], f[1], f[2], strings.Join(f[3:], " ")})
		}
	}
	return list
}

// kill kills the processes of a container that match, and at least one.
func (p *pod) kill(name string, match func(process) bool) {
	p.t.Helper()
	killed := 0
	all := p.processes(name)
	for _, process := range all {
		if match(process) {
			inNode(p.t, "kill", fmt.Sprintf("-%d", syscall.SIGKILL), process.pid)
			killed++
		}
	}
	if killed == 0 {
		p.t.Fatalf("no process of %s to kill in %v", name, all)
	}
}

// switchProcess returns the switch of podswitch run.
func (p *pod) switchProcess() process {
	p.t.Helper()
	for _, process := range p.processes("podswitch") {
		if child(process) {
			return process
		}
	}
	p.t.Fatalf("no switch in %v", p.processes("podswitch"))
	return process{}
}

// gone returns an error while a process is there.
func (p *pod) gone(old process) error {
	p.t.Helper()
	for _, process := range p.processes("podswitch") {
		if process.pid == old.pid {
			return fmt.Errorf("still there: %v", process)
		}
	}
	return nil
}
