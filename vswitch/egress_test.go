package vswitch

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/internal/packet"
)

// TestFlowLimit checks that the flows of the pod's processes are bounded, and that those without a packet for flowSpare make room.
func TestFlowLimit(t *testing.T) {
	e := newEgress(&DelegateConfig{Egress: netip.MustParseAddr("169.254.75.11")})
	note := func(i int, now time.Duration) bool {
		return e.note(&packet.Packet{Protocol: packet.ProtocolTCP, SourcePort: uint16(i), Target: ip4(0x0a000001), TargetPort: uint16(i >> 16)}, nil, now)
	}
	for i := range flowLimit {
		if !note(i, 0) {
			t.Fatalf("flow %d does not fit", i)
		}
	}
	if note(flowLimit, flowSpare-1) {
		t.Error("a flow more than the limit fits")
	}
	if !note(0, flowSpare+1) || !note(flowLimit, 2*flowSpare) {
		t.Error("a known flow, or one after the others were idle, does not fit")
	}
	if !e.has(packet.ProtocolTCP, 0, ip4(0x0a000001), 0, 2*flowSpare) {
		t.Error("a flow that goes on made room")
	}
}

// TestFlowsMakeRoom checks that there is always room for one more flow of UDP, and that the older ones make it.
func TestFlowsMakeRoom(t *testing.T) {
	e := newEgress(&DelegateConfig{Egress: netip.MustParseAddr("169.254.75.11")})
	for i := range 4 * flowLimit {
		now := time.Duration(i) * time.Millisecond
		p := packet.Packet{Protocol: packet.ProtocolUDP, SourcePort: uint16(i), Target: ip4(0x0a000001), TargetPort: 53}
		if !e.note(&p, nil, now) {
			t.Fatalf("flow %d does not fit", i)
		}
		if recent := i - flowLimit/2 + 1; recent >= 0 && !e.has(p.Protocol, uint16(recent), p.Target, p.TargetPort, now) {
			t.Fatalf("flow %d is gone after %d more", recent, i-recent)
		}
	}
}

// TestResumeFlows checks that a state with impossible flows is refused.
func TestResumeFlows(t *testing.T) {
	good := handover.Flow{Protocol: "udp", Port: 1, Host: netip.MustParseAddr("10.0.0.1"), HostPort: 53}
	e := newEgress(&DelegateConfig{Egress: netip.MustParseAddr("169.254.75.11")})
	if err := e.check([]handover.Flow{good}); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*handover.Flow){
		`protocol "icmp"`: func(f *handover.Flow) { f.Protocol = "icmp" },
		`host "fd00::1"`:  func(f *handover.Flow) { f.Host = netip.MustParseAddr("fd00::1") },
		`host "0.0.0.0"`:  func(f *handover.Flow) { f.Host = netip.IPv4Unspecified() },
		"age_ns -1":       func(f *handover.Flow) { f.Age = -1 },
	} {
		f := good
		change(&f)
		if err := e.check([]handover.Flow{f}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %s", err, want)
		}
	}
	if err := (*egress)(nil).check([]handover.Flow{good}); err == nil {
		t.Error("flows without an egress port are accepted")
	}
}
