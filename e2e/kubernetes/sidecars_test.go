//go:build kubernetes

package kubernetes

import (
	"fmt"
	"testing"
	"time"
)

// The claim of the manifests, and what it is bound to: a folder of the node. Its file is no disk with an operating system.
const (
	volume = `{apiVersion: v1, kind: PersistentVolume, metadata: {name: vm-disk}, spec: {capacity: {storage: 1Mi}, accessModes: [ReadWriteOnce],
  hostPath: {path: /var/lib/vm-disk, type: Directory}, claimRef: {namespace: default, name: vm-disk}}}`
	claim = `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: vm-disk}, spec: {accessModes: [ReadWriteOnce], storageClassName: "",
  volumeName: vm-disk, resources: {requests: {storage: 1Mi}}}}`
)

// furnish makes the disk and another pod, and returns that pod's network.
func (c *cluster) furnish(t *testing.T) netns {
	t.Helper()
	c.node.makeDisk()
	c.create(t, "/api/v1/persistentvolumes", volume)
	c.create(t, "/api/v1/namespaces/default/persistentvolumeclaims", claim)
	return c.addClient(t, "client", c.node.name)
}

func (n *node) makeDisk() {
	n.t.Helper()
	n.run("sh", "-ec", "mkdir /var/lib/vm-disk; truncate -s 1M /var/lib/vm-disk/disk.img; chmod 666 /var/lib/vm-disk/disk.img")
}

// addClient makes another pod on a node, and returns its network.
func (c *cluster) addClient(t *testing.T, name, nodeName string) netns {
	t.Helper()
	c.create(t, podsPath, fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {nodeName: %s, automountServiceAccountToken: false,
  terminationGracePeriodSeconds: 0, containers: [{name: client, image: "client:1"}]}}`, name, nodeName))
	client := &vm{c, t, name}
	t.Logf("another pod is ready after %.1f s", client.awaitReady().Seconds())
	n, err := netnsOf(client.first("client"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// testSidecars applies the folder deploy/ as it is. The containers start in their order and without a restart, the probes succeed, and
// another pod reaches the guest at the pod's address.
func (c *cluster) testSidecars(t *testing.T) {
	c.other = c.furnish(t)
	t.Log(c.kubectl(t, "apply", "-k", c.deploy))
	v := &vm{c, t, "vm"}
	t.Logf("the pod is ready after %.1f s", v.awaitReady().Seconds())
	t.Logf("the guest serves its page to another pod after %.1f s more", v.awaitGuest(c.other).Seconds())
	v.checkOrder("keeper", "switch", "qemu")
	v.checkUndisturbed()
}

// checkOrder checks that containers started in an order, and that the startup probe of one succeeded before the next started.
func (v *vm) checkOrder(names ...string) {
	v.t.Helper()
	p := v.mustState()
	var before, first time.Duration
	for i, name := range names {
		at, err := startTime(v.first(name))
		if err != nil {
			v.t.Fatal(err)
		}
		if i == 0 {
			first = at
		}
		if at < before {
			v.t.Errorf("%s started before the container in front of it", name)
		}
		if started := p.container(name).Started; started == nil || !*started {
			v.t.Errorf("%s is not started: its startup probe has not succeeded", name)
		}
		v.t.Logf("%-6s started %.2f s after the first container", name, (at - first).Seconds())
		before = at
	}
}

// checkUndisturbed checks that no container was started again or is delayed, and shows the probes that failed.
func (v *vm) checkUndisturbed() {
	v.t.Helper()
	for _, s := range v.mustState().containers() {
		if s.RestartCount != 0 || s.State.Running == nil {
			v.t.Errorf("%s: %d restarts, state %+v", s.Name, s.RestartCount, s.State)
		}
	}
	for _, e := range v.events("Unhealthy") {
		v.t.Logf("a probe failed %d times: %s", e.Count, e.Message)
	}
	v.checkNoBackOff()
}
