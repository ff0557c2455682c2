package podnet

import (
	"context"
	"testing"
	"time"
)

// awaitState reads states until one is as wanted.
func awaitState(t *testing.T, states <-chan LinkState, what string, want func(LinkState) bool) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case s, ok := <-states:
			if !ok {
				t.Fatalf("the channel closed before: %s", what)
			}
			if want(s) {
				return
			}
		case <-timeout:
			t.Fatalf("timeout: %s", what)
		}
	}
}

func TestWatchReportsEachChange(t *testing.T) {
	p := newPod(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	states, err := Watch(ctx, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	index := p.link("eth0").Index
	if s := <-states; s != (LinkState{Present: true, Up: true, Carrier: true, Index: index, Name: "eth0", MTU: 1500}) {
		t.Fatalf("first state: %+v", s)
	}
	steps := []struct {
		lines string
		want  func(LinkState) bool
	}{
		{"link set node0 down", func(s LinkState) bool { return s.Up && !s.Carrier }},
		{"link set node0 up", func(s LinkState) bool { return s.Up && s.Carrier }},
		{"link set eth0 mtu 1400", func(s LinkState) bool { return s.MTU == 1400 }},
		{"link set eth0 down", func(s LinkState) bool { return s.Present && !s.Up }},
		{"link del eth0", func(s LinkState) bool { return s == LinkState{} }},
		{"link add eth0 index 77 type veth peer name node0", func(s LinkState) bool { return s.Present && s.Index == 77 }},
	}
	for _, step := range steps {
		p.ip(step.lines)
		awaitState(t, states, step.lines, step.want)
	}
	cancel()
	await(t, "the channel is closed", func() bool {
		select {
		case _, ok := <-states:
			return !ok
		default:
			return false
		}
	})
}

func TestASlowReaderOfWatchGetsTheNewestState(t *testing.T) {
	p := newPod(t)
	states, err := Watch(t.Context(), "eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, mtu := range []string{"1301", "1302", "1303", "1304"} {
		p.ip("link set eth0 mtu " + mtu)
	}
	awaitState(t, states, "the newest MTU", func(s LinkState) bool { return s.MTU == 1304 })
	select {
	case s := <-states:
		t.Errorf("another state after the newest: %+v", s)
	default:
	}
}

func TestWatchAcceptsAnInterfaceThatDoesNotExist(t *testing.T) {
	p := newPod(t)
	states, err := Watch(t.Context(), "eth9")
	if err != nil {
		t.Fatal(err)
	}
	if s := <-states; s != (LinkState{}) {
		t.Errorf("first state: %+v", s)
	}
	p.ip("link set eth0 down\nlink set eth0 name eth9")
	awaitState(t, states, "the interface gets its name", func(s LinkState) bool { return s.Present })
	if _, err := Watch(t.Context(), "a/b"); err == nil {
		t.Error("a bad name: want an error")
	}
}
