package dataplane

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/vswitch"
)

// plainSwitch returns a learning switch of two fake ports with a loop guard, and its log.
func plainSwitch(t *testing.T) (*bridging, *observer.ObservedLogs) {
	t.Helper()
	core, seen := observer.New(zapcore.InfoLevel)
	g := (&pod{t: t}).grant()
	g.Forwarder = grant.Forwarder{Bridge: plan.WireBridge(vswitch.BridgeConfig{Ports: 2, Upstream: -1, Ageing: time.Minute, Limit: 16, ProbeID: 7})}
	b, err := newBridging(&session{}, g, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	b.ports = countedPorts()[:2]
	return b, seen
}

// enter passes a frame to the switch.
func (b *bridging) enter(port int, frame []byte, now time.Duration) {
	b.bridge.Forward(port, []vswitch.Frame{{Data: frame}}, now, vswitch.NewOut(len(b.ports), b.ports[port].Counters()))
}

// TestLoopIsLogged: the log names both ports of a loop once, whether the guard finds it or a station shows it.
func TestLoopIsLogged(t *testing.T) {
	b, seen := plainSwitch(t)
	now := time.Second
	out := vswitch.NewOut(2, new(vswitch.Counters))
	b.bridge.Tick(now, out)
	var probe []byte
	out.Flush(func(port int, frames []vswitch.Frame) {
		if port == 0 {
			probe = append(probe, frames[0].Data...)
		}
	})
	station := append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 8, 6}, make([]byte, 46)...)
	for range 5 {
		for port := range 2 {
			b.enter(port, station, now)
		}
		b.loops.check(b.bridge, b.ports, now)
	}
	b.enter(1, probe, now)
	for range 5 {
		b.loops.check(b.bridge, b.ports, now)
		now += time.Second
	}
	for i, want := range []string{"from:guest mac:02:00:00:00:00:09 to:uplink", "port:uplink probe_from:guest reason:loop"} {
		if list := seen.All(); len(list) != 2 || list[i].Level != zapcore.WarnLevel || !strings.Contains(fmt.Sprint(list[i].ContextMap()), want) {
			t.Errorf("the log is %v, want two warnings, the one with the index %d with %s", list, i, want)
		}
	}
}

// TestFlapsAreBounded: a sender of many source MACs causes few lines.
func TestFlapsAreBounded(t *testing.T) {
	b, seen := plainSwitch(t)
	for i := range 5 * offenderLimit {
		frame := append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, byte(i), 8, 6}, make([]byte, 46)...)
		for n := range 4 {
			b.enter(n%2, frame, 0)
		}
		b.loops.check(b.bridge, b.ports, 0)
	}
	if n := seen.Len(); n != offenderLimit+1 {
		t.Errorf("%d lines, want %d", n, offenderLimit+1)
	}
}
