//go:build kubernetes

package kubernetes

import "time"

// testDrain drains the node: the pod's containers end in their order, and the address is back. When the node is free again, the Deployment
// has a new pod, which testDrain returns.
func (v *vm) testDrain() *vm {
	v.settle()
	w := v.watchEnd("keeper", "switch", "qemu")
	asked := time.Now()
	drained := make(chan string)
	go func() {
		out, err := v.node.try(v.program("kubectl"), "--kubeconfig", v.file("admin.conf"), "drain", v.node.name,
			"--force", "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector=app=vm")
		if err != nil {
			out = err.Error()
		}
		drained <- out
	}()
	w.check(asked, "qemu", "switch", "keeper")
	v.t.Log(<-drained)
	v.kubectl(v.t, "uncordon", v.node.name)
	next := v.awaitPodOfDeployment(v.t, v.name)
	next.checkUndisturbed()
	return next
}
