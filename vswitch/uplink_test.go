package vswitch

import (
	"net/netip"
	"sync"
	"testing"
)

// The questions about gateways do not count against the limits, also after the routes have changed.
func TestSetUplinkQuestions(t *testing.T) {
	cfg := delegateConfig()
	cfg.Routes = []Route{{Destination: netip.MustParsePrefix("10.0.0.0/8")}, {Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.0.0.1")}}
	d := NewDelegate(cfg)
	d.IPv4.SetHolder(HolderGuest, MAC{2, 1})
	out := NewOut(delegatePorts, new(Counters))
	ask := func(host byte) {
		frame := packetOf(100)
		setMACs(frame, MAC{2, 0xfe}, MAC{2, 1})
		setIPs(frame, 10, 0, 0, 7, host, 0, 0, 2)
		d.Forward(PortGuest, []Frame{{Data: frame}}, 0, out)
	}
	ask(11) // by the gateway
	ask(10)
	want := func(asked int) {
		t.Helper()
		if got := d.IPv4.neighbours.asked[PortGuest]; got != asked || len(d.IPv4.neighbours.questions) != 2 {
			t.Errorf("%d questions count, want %d of %d", got, asked, len(d.IPv4.neighbours.questions))
		}
	}
	want(1)
	cfg.Routes[1].Gateway = netip.MustParseAddr("10.0.0.2")
	d.SetUplink(cfg)
	want(1)
	cfg.Routes = cfg.Routes[:1]
	d.SetUplink(cfg)
	want(2)
}

// A permanent neighbour finds room in a table that is full of learned ones, and takes the place of one that is gone.
func TestSetUplinkPermanent(t *testing.T) {
	cfg := delegateConfig()
	d := NewDelegate(cfg)
	for i := range NeighbourLimit {
		d.IPv4.neighbours.putLocked(ip4(0x0a010000+uint32(i)), newNeighbourValue(MAC{2, 3}, true), 0)
	}
	set := func(list ...Neighbour) {
		t.Helper()
		cfg.Permanent = list
		d.SetUplink(cfg)
		got := d.IPv4.neighbours.permanent()
		for _, n := range list {
			if _, value, _, ok := d.IPv4.neighbours.table.find(keyOf(n.Addr)); !ok || neighbourValue(value).mac() != n.MAC || !got[n.Addr] {
				t.Errorf("%v is not a permanent neighbour", n)
			}
		}
		if len(got) != len(list) {
			t.Errorf("permanent neighbours: %v, want %v", got, list)
		}
	}
	set(Neighbour{netip.MustParseAddr("10.0.0.1"), MAC{2, 4}})
	set(Neighbour{netip.MustParseAddr("10.0.0.1"), MAC{2, 5}}, Neighbour{netip.MustParseAddr("10.0.0.2"), MAC{2, 6}})
	set(Neighbour{netip.MustParseAddr("10.0.0.2"), MAC{2, 6}})
	set()
}

// SetUplink may be called while frames are forwarded.
func TestSetUplinkConcurrently(t *testing.T) {
	cfg := delegateConfig()
	d := NewDelegate(cfg)
	d.IPv4.SetHolder(HolderGuest, MAC{2, 1})
	var wg sync.WaitGroup
	for port := range delegatePorts {
		wg.Go(func() {
			out := NewOut(delegatePorts, new(Counters))
			for range 500 {
				frame := packetOf(1000)
				setMACs(frame, MAC{2, 0xfe}, MAC{2, 1})
				setIPs(frame, 10, 0, 0, 7, 10, 0, 0, 9)
				d.Forward(port, []Frame{{Data: frame}}, 0, out)
				out.Flush(func(int, []Frame) {})
				d.Tick(0, out)
				out.Flush(func(int, []Frame) {})
			}
		})
	}
	for i := range 500 {
		next := cfg
		next.MTU, next.WireMAC[5] = 500+i, byte(i)
		d.SetUplink(next)
	}
	wg.Wait()
}
