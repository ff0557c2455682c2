//go:build kubernetes

package kubernetes

import (
	"fmt"
	"maps"
	"time"
)

// An effect is what a disturbance of a pod has caused.
type effect struct {
	took     time.Duration  // until all containers ran
	pause    time.Duration  // the longest one of an open connection
	unready  time.Duration  // how long the pod was not ready
	restarts map[string]int // of containers, by the kubelet
}

// disturb does something to the pod while a connection to the guest is open, which must survive it.
func (v *vm) disturb(what string, action func()) effect {
	v.t.Helper()
	v.settle()
	s := openStream(v.t, v.other, v.mustState().Status.PodIP)
	defer s.conn.Close()
	unready := v.watchReady()
	before := v.restarts()
	s.gap()
	s.mark()
	began := time.Now()
	action()
	v.settle()
	e := effect{took: time.Since(began), pause: s.gap(), unready: unready(), restarts: v.restarts()}
	for name, count := range before {
		if e.restarts[name] -= count; e.restarts[name] == 0 {
			delete(e.restarts, name)
		}
	}
	v.t.Logf("%s: all containers run after %.2f s; an open connection pauses for %s; the pod is not ready for %s; restarts by the kubelet: %v",
		what, e.took.Seconds(), e.pause, e.unready, e.restarts)
	return e
}

// want checks which containers the kubelet has started again, and that the pod was ready all the time if these are none.
func (e effect) want(v *vm, restarts map[string]int) {
	v.t.Helper()
	if !maps.Equal(e.restarts, restarts) {
		v.t.Errorf("restarts by the kubelet: %v: want %v", e.restarts, restarts)
	}
	if len(restarts) == 0 && e.unready > 0 {
		v.t.Errorf("the pod was not ready for %s", e.unready)
	}
}

// settle waits until all containers run and are ready.
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

func (v *vm) restarts() map[string]int {
	v.t.Helper()
	counts := map[string]int{}
	for _, s := range v.mustState().containers() {
		counts[s.Name] = s.RestartCount
	}
	return counts
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

// checkNoBackOff checks that the kubelet has not delayed a start.
func (v *vm) checkNoBackOff() {
	v.t.Helper()
	for _, e := range v.events("BackOff") {
		v.t.Errorf("the kubelet delays the start of %s, %d times: %s", e.InvolvedObject.FieldPath, e.Count, e.Message)
	}
}
