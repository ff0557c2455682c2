//go:build kubernetes

package kubernetes

import (
	"fmt"
	"syscall"
	"time"
)

// testKill kills processes of each container while a connection is open: the switch and the keeper, which their parents in the containers
// start again, then the first processes of the containers, and QEMU.
func (v *vm) testKill() {
	for _, name := range []string{"switch", "keeper"} {
		v.disturb("kill -9 of the "+name, func() { v.killChild(name) }).want(v, nil)
	}
	for _, name := range []string{"switch", "keeper"} {
		v.disturb("kill -9 of the first process of the container "+name, func() { v.killFirst(name) }).want(v, map[string]int{name: 1})
	}
	v.killGuest()
	v.checkNoBackOff()
}

// killChild kills the child of a container's first process, and waits until there is another one.
func (v *vm) killChild(name string) {
	v.t.Helper()
	before := v.child(name)
	v.kill(before)
	await(v.t, "another process of "+name, func() error {
		if now := v.child(name); now == 0 || now == before {
			return errUnready
		}
		return nil
	})
}

// child returns the oldest child of a container's first process, or 0.
func (v *vm) child(name string) int {
	v.t.Helper()
	pids, err := v.processes(name)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, pid := range pids[1:] {
		if parent, err := stat(pid, statParent); err == nil && parent == pids[0] {
			return pid
		}
	}
	return 0
}

// killFirst kills the first process of a container, and waits until the kubelet has started the container again.
func (v *vm) killFirst(name string) {
	v.t.Helper()
	v.awaitReplaced(name, func() { v.kill(v.first(name)) })
}

// awaitReplaced waits until another container with the name runs than before an action.
func (v *vm) awaitReplaced(name string, action func()) {
	v.t.Helper()
	before := v.mustState().container(name).ContainerID
	action()
	await(v.t, "another container "+name, func() error {
		p, err := v.state()
		if err != nil {
			return err
		}
		if s := p.container(name); s.ContainerID == before || s.State.Running == nil {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

func (v *vm) kill(pid int) {
	v.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		v.t.Fatal(err)
	}
}

// killGuest kills QEMU. Connections end with the guest, which boots again and gets the same address.
func (v *vm) killGuest() {
	v.t.Helper()
	began := time.Now()
	v.killFirst("qemu")
	v.settle()
	v.awaitGuest(v.other)
	v.t.Logf("kill -9 of QEMU: the guest serves again after %.1f s", time.Since(began).Seconds())
}
