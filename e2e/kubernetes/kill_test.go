//go:build kubernetes

package kubernetes

import (
	"fmt"
	"syscall"
	"time"
)

// testKill kills the first process of each container while a connection is open.
func (v *vm) testKill() {
	v.settle()
	for _, name := range []string{"switch", "keeper"} {
		s := openStream(v.t, v.other, v.mustState().Status.PodIP)
		restarts := v.restarts()
		unready := v.watchReady()
		s.gap()
		s.mark()
		v.kill(name)
		took := v.awaitRestart(name, restarts[name]+1)
		gap := s.gap()
		v.t.Logf("kill -9 of the first process of %s: again running after %.2f s, an open connection pauses for %s, pod not ready for %s, restarts %v -> %v",
			name, took.Seconds(), gap, unready(), restarts, v.restarts())
		s.conn.Close()
	}
	v.killGuest()
}

// killGuest kills QEMU. Connections end with the guest, which boots again and gets the same address.
func (v *vm) killGuest() {
	restarts := v.restarts()["qemu"]
	began := time.Now()
	v.kill("qemu")
	v.awaitRestart("qemu", restarts+1)
	v.awaitReady()
	v.awaitGuest(v.other)
	v.t.Logf("kill -9 of QEMU: the guest serves again after %.1f s", time.Since(began).Seconds())
}

func (v *vm) kill(name string) {
	v.t.Helper()
	if err := syscall.Kill(v.first(name), syscall.SIGKILL); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vm) restarts() map[string]int {
	v.t.Helper()
	counts := map[string]int{}
	for _, s := range v.mustState().containers() {
		counts[s.Name] = s.RestartCount
	}
	return counts
}

// awaitRestart waits until a container runs that was started again.
func (v *vm) awaitRestart(name string, count int) time.Duration {
	v.t.Helper()
	return await(v.t, name+" to run again", func() error {
		p, err := v.state()
		if err != nil {
			return err
		}
		if s := p.container(name); s.RestartCount < count || s.State.Running == nil {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

// settle waits until all containers run and the pod is ready.
func (v *vm) settle() {
	v.t.Helper()
	await(v.t, "all containers", func() error {
		p, err := v.state()
		if err != nil {
			return err
		}
		for _, s := range p.containers() {
			if s.State.Running == nil || !s.Ready {
				return fmt.Errorf("%+v", s)
			}
		}
		return nil
	})
}

// watchReady observes whether the pod is ready. The function that it returns ends that, and returns how long the pod was not.
func (v *vm) watchReady() (unready func() time.Duration) {
	stop, total := make(chan struct{}), make(chan time.Duration)
	go func() {
		var sum time.Duration
		last := time.Now()
		for {
			select {
			case <-stop:
				total <- sum
				return
			case <-time.After(20 * time.Millisecond):
			}
			if p, err := v.state(); err == nil && !p.ready() {
				sum += time.Since(last)
			}
			last = time.Now()
		}
	}()
	return func() time.Duration {
		close(stop)
		return (<-total).Round(10 * time.Millisecond)
	}
}
