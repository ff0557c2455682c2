//go:build kubernetes

package kubernetes

import "syscall"

// testHang stops the switch and then the keeper, as a process that hangs. The liveness probe fails, and the kubelet starts the container again.
func (v *vm) testHang() {
	for _, name := range []string{"switch", "keeper"} {
		v.disturb("the "+name+" hangs", func() { v.hang(name) }).want(v, map[string]int{name: 1})
	}
	v.checkNoBackOff()
}

// hang stops the child of a container's first process, and waits until the kubelet has started the container again.
func (v *vm) hang(name string) {
	v.t.Helper()
	v.awaitReplaced(name, func() {
		if err := syscall.Kill(v.child(name), syscall.SIGSTOP); err != nil {
			v.t.Fatal(err)
		}
	})
}
