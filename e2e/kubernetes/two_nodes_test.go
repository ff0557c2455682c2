//go:build kubernetes

package kubernetes

import (
	"testing"
	"time"
)

// secondAddress is the address of the second node.
const secondAddress = "172.31.0.3"

// testTwoNodes adds a second node. A pod there reaches the guest through flannel's tunnel, directly and by the Service; when the first node
// is drained, the guest starts on the second one, and a pod on the first one reaches it there.
func (c *cluster) testTwoNodes(t *testing.T) {
	var left trace
	settings := readSettings()
	t.Cleanup(func() { left.check(t) }) // after the node's own
	second := startNode(t, "node2")
	left = second.trace(settings)
	second.address(secondAddress)
	c.node.connect(t, second)
	c.addWorker(second, secondAddress, "10.244.4.0-24")
	second.makeDisk()
	distant := c.addClient(t, "distant", second.name)
	v := c.awaitPodOfDeployment(t, "")
	v.awaitGuest(distant)
	v.checkDistance(distant)
	c.kubectl(t, "drain", c.node.name, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector=app=vm")
	began := time.Now()
	next := c.awaitPodOfDeployment(t, v.name)
	if on := next.mustState().Spec.NodeName; on != second.name {
		t.Errorf("after the drain the pod is on %s", on)
	}
	await(t, "the Service from the first node", func() error { return wantPage(fetch(c.other, "http://"+serviceAddress+"/")) })
	t.Logf("the guest serves on the second node %.1f s after the drain of the first one, by the same Service", time.Since(began).Seconds())
	next.checkUndisturbed()
}

// checkDistance reaches the guest from a pod on another node by the Service, and shows the time between two echoes.
func (v *vm) checkDistance(from netns) {
	v.t.Helper()
	await(v.t, "the Service from another node", func() error { return wantPage(fetch(from, "http://"+serviceAddress+"/")) })
	s := openStream(v.t, from, serviceAddress)
	defer s.conn.Close()
	time.Sleep(time.Second)
	v.t.Logf("the longest time between two echoes to another node by the Service, undisturbed for a second: %s", s.gap())
}
