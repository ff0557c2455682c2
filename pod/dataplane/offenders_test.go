package dataplane

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A countedPort is a port with counters and nothing else.
type countedPort struct {
	vswitch.Port
	counters vswitch.Counters
}

func (p *countedPort) Counters() *vswitch.Counters { return &p.counters }
func (p *countedPort) Close() error                { return nil }

// countedPorts returns the ports of IP mode.
func countedPorts() (ports []namedPort) {
	for _, name := range []string{"guest", "uplink", "pod", "server"} {
		ports = append(ports, namedPort{new(countedPort), name, "fake", new(link)})
	}
	return ports
}

// observed returns a delegation with fake ports, a clock that shows what now has, and its log.
func observed(t *testing.T, now *time.Duration) (*delegation, *observer.ObservedLogs) {
	t.Helper()
	return observedWith(t, now, delegatePlan(t))
}

// observedWith is observed for another plan.
func observedWith(t *testing.T, now *time.Duration, p *plan.Plan) (*delegation, *observer.ObservedLogs) {
	t.Helper()
	core, seen := observer.New(zapcore.InfoLevel)
	fake := &pod{t: t, plan: p}
	d, err := newDelegation(&session{}, fake.grant(), zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	d.ports, d.clock = countedPorts(), func() time.Duration { return *now }
	return d, seen
}

// fromGuest passes a UDP packet of the guest to the forwarder.
func fromGuest(d *delegation, source string) {
	frame := make([]byte, 60)
	copy(frame, []byte{2, 0xab, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0, 0, 28})
	frame[22], frame[23] = 64, 17
	_, _ = fmt.Sscanf(source, "%d.%d.%d.%d", &frame[26], &frame[27], &frame[28], &frame[29])
	copy(frame[30:], []byte{10, 0, 0, 1, 0, 9, 0, 9, 0, 8})
	binary.BigEndian.PutUint16(frame[24:], vnet.Checksum(frame[14:34], 0))
	out := vswitch.NewOut(len(d.ports), d.ports[vswitch.PortGuest].Counters())
	d.delegate.Forward(vswitch.PortGuest, []vswitch.Frame{{Data: frame}}, d.clock(), out)
}

// TestForeignAddressIsLogged checks that the log has both addresses, of what the guest uses and of what it should use.
func TestForeignAddressIsLogged(t *testing.T) {
	now := time.Second
	d, seen := observed(t, &now)
	for range 3 {
		fromGuest(d, "10.244.1.99")
		d.offenders.check(d.ports, now)
		now += time.Second
	}
	entries := seen.FilterMessageSnippet("foreign source address").All()
	if len(entries) != 1 || entries[0].Level != zapcore.WarnLevel {
		t.Fatalf("%d lines, want one warning: %v", len(entries), entries)
	}
	if fields := fmt.Sprint(entries[0].ContextMap()); !strings.Contains(fields, "source:10.244.1.99") || !strings.Contains(fields, "pod_address:10.244.1.7") {
		t.Errorf("fields %s", fields)
	}
}

// TestOffendersOfFamilies checks that the log names the addresses that move, and hosts that claim one of them by ARP or by neighbour discovery.
func TestOffendersOfFamilies(t *testing.T) {
	v4, v6 := netip.MustParsePrefix("10.244.1.7/24"), netip.MustParsePrefix("fd00::7/64")
	for want, cfg := range map[string]vswitch.DelegateConfig{
		"10.244.1.7": {Address: v4}, "fd00::7": {AddressIPv6: v6}, "10.244.1.7, fd00::7": {Address: v4, AddressIPv6: v6},
	} {
		claims := 0
		for _, o := range delegateOffenders(&cfg) {
			if o.message == "another host uses the pod address" {
				claims++
				if o.want.String != want {
					t.Errorf("pod_address %q, want %q", o.want.String, want)
				}
			}
		}
		if claims != 2 {
			t.Errorf("%d kinds of claims, want ARP and neighbour discovery", claims)
		}
	}
}

// TestOffendersAreBounded checks that a guest with a new address for each frame causes few lines, and some again in a later period.
func TestOffendersAreBounded(t *testing.T) {
	now := time.Second
	d, seen := observed(t, &now)
	for i := range 500 {
		fromGuest(d, fmt.Sprintf("10.9.%d.%d", i/250, i%250))
		d.offenders.check(d.ports, now)
		now += time.Second
	}
	if n := seen.Len(); n != offenderLimit+1 {
		t.Errorf("%d lines of 500 addresses, want %d", n, offenderLimit+1)
	}
	if n := seen.FilterField(zap.String("and", offenderEvents)).Len(); n != 1 {
		t.Errorf("%d lines say that there are more, want 1", n)
	}
	now += offenderPeriod
	fromGuest(d, "10.9.0.0")
	d.offenders.check(d.ports, now)
	if n := seen.Len(); n != offenderLimit+2 {
		t.Errorf("%d lines with those of the next period, want %d", n, offenderLimit+2)
	}
}

// TestHint checks when the log says that no guest has the address, and where it tells to look.
func TestHint(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(d *delegation)
		want    string // empty: no warning
	}{
		"a hypervisor that is absent": {func(d *delegation) { d.ports[vswitch.PortGuest].link.isAlone.Store(true) }, "the hypervisor"},
		"a device that is absent":     {func(d *delegation) { d.ports[vswitch.PortGuest].link.isLost.Store(true) }, "the hypervisor"},
		"a guest that is silent":      {func(*delegation) {}, "it has not sent a frame"},
		"a guest that does not ask":   {func(d *delegation) { d.ports[vswitch.PortGuest].Counters().RxFrames.Add(7) }, "has not asked for the address"},
		"a guest that only asks": {func(d *delegation) {
			d.ports[vswitch.PortGuest].Counters().RxFrames.Add(7)
			d.leases.asked = true
		}, "the DHCP messages above"},
		"a guest with the address": {func(d *delegation) { d.addresses[0].apply(use, firstMAC) }, ""},
		"a guest that released the address": {func(d *delegation) {
			d.addresses[0].apply(use, firstMAC)
			d.addresses[0].apply(dhcpRelease, vswitch.MAC{})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			now := warnAfter - 1
			d, seen := observed(t, &now)
			d.addresses[0].apply(taken, vswitch.MAC{})
			c.prepare(d)
			for range 3 {
				d.warnIfSilent()
				if n := seen.FilterMessageSnippet("no guest has").Len(); now < warnAfter && n > 0 {
					t.Fatal("the warning is early")
				}
				now += time.Second
			}
			entries := seen.FilterMessageSnippet("no guest has").All()
			if (len(entries) == 1) != (c.want != "") || len(entries) > 1 {
				t.Fatalf("%d warnings: %v", len(entries), entries)
			}
			if c.want != "" && !strings.Contains(fmt.Sprint(entries[0].ContextMap()), c.want) {
				t.Errorf("warning %v, want %q", entries[0].ContextMap(), c.want)
			}
		})
	}
}
