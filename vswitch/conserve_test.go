package vswitch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
	"github.com/podswitch/podswitch/vswitch/vswitchtest"
)

// A switch is stopped, or loses a port, at a random moment under load, while the holder and the stations change. Every frame that has
// entered is counted exactly once, as sent or under a drop reason.
func TestRunConserves(t *testing.T) {
	for round := range 40 {
		wrap := plain
		if round%2 == 1 {
			wrap = onlyClosable
		}
		conserve(t, round, busyBridge(), 2, wrap)
		conserve(t, round, busyDelegate(t), 4, wrap)
	}
}

// A busy forwarder has frames for each port that cause no other frames, and a function that changes its tables concurrently.
type busy struct {
	vswitch.Forwarder
	frames [][]vswitch.Frame // by port
	change func(n int)
}

func busyBridge() busy {
	const ports = 2 // so that flooding sends one frame
	bridge := vswitch.NewBridge(vswitch.BridgeConfig{Ports: ports, Ageing: time.Microsecond, Limit: 4, Upstream: 1})
	b := busy{Forwarder: bridge, frames: make([][]vswitch.Frame, ports)}
	for port := range ports {
		for n := range 12 {
			b.frames[port] = append(b.frames[port], numbered(n%3, n/3, n))
		}
		b.frames[port] = append(b.frames[port], vswitch.Frame{Data: make([]byte, 13)})
	}
	b.change = func(n int) {
		bridge.SetStatic(vswitch.MAC{2, 0, 0, 0, 0, byte(n % 6)}, n%ports, 0)
		bridge.Forget(n % ports)
		bridge.Tick(time.Hour, nil)
		bridge.Stations(0)
	}
	return b
}

func busyDelegate(t *testing.T) busy {
	t.Helper()
	s, err := parseScript("delegate", "# Busy.\ndelegate\nipv6\nkeep 8080\nno-arp\n+0 tick\n")
	if err != nil {
		t.Fatal(err)
	}
	d := vswitch.NewDelegate(s.delegate)
	b := busy{Forwarder: d, frames: make([][]vswitch.Frame, len(s.ports))}
	for _, line := range []struct {
		port  int
		frame string
	}{
		{vswitch.PortGuest, "guest > router ip 10.244.1.7 > 10.0.0.1 udp 1 > 2"},
		{vswitch.PortGuest, "guest > router ip 10.244.1.7 > 10.0.0.1 icmp port-unreachable about ip 10.0.0.1 > 10.244.1.7 tcp 2 > 8080"},
		{vswitch.PortGuest, "guest > router ip 10.244.1.8 > 10.0.0.1 udp 1 > 2"},
		{vswitch.PortGuest, "guest > router ip 10.244.1.7 > 169.254.75.1 udp 5353 > 53"},
		{vswitch.PortGuest, "guest > router ip6 fd00:10:244:1::7 > 2001:db8::1 udp 1 > 2"},
		{vswitch.PortGuest, "guest > router ip6 fe80::1 > fe80::ff:fe00:fe udp 1 > 53"},
		{vswitch.PortGuest, "guest > 33:33:ff:00:00:09 ip6 fe80::1 > ff02::1:ff00:9 icmp6 ns fd00:10:244:1::9 link guest"},
		{vswitch.PortGuest, "guest > 33:33:ff:00:00:07 ip6 :: > ff02::1:ff00:7 icmp6 ns fd00:10:244:1::7"},
		{vswitch.PortUplink, "peer > wire ip6 2001:db8::1 > fd00:10:244:1::7 udp 2 > 1"},
		{vswitch.PortUplink, "peer > wire ip6 2001:db8::1 > fd00:10:244:1::7 tcp 2 > 8080 syn"},
		{vswitch.PortUplink, "peer > wire ip 10.0.0.1 > 10.244.1.7 udp 2 > 1"},
		{vswitch.PortUplink, "peer > wire ip 10.0.0.1 > 10.244.1.7 tcp 2 > 8080 syn"},
		{vswitch.PortUplink, "peer > wire vlan 7 ip 10.0.0.1 > 10.244.1.7 udp 2 > 1"},
		{vswitch.PortPod, "wire > gw ip 10.244.1.7 > 10.0.0.1 tcp 8080 > 2 ack"},
		{vswitch.PortServer, "router > guest ip 169.254.75.1 > 10.244.1.7 udp 53 > 5353"},
	} {
		w := newWords(line.frame, s.names)
		b.frames[line.port] = append(b.frames[line.port], w.frame())
	}
	macs := []vswitch.MAC{s.names["guest"], s.names["peer"], {}}
	b.change = func(n int) {
		d.IPv4.SetHolder(vswitch.Holder(n%3), macs[n/3%3])
		d.IPv6.SetHolder(vswitch.Holder(n/2%3), macs[n/3%3])
		d.IPv6.LastUseBy(macs[0])
		d.IPv6.Advertise()
		d.IPv4.LastUseBy(macs[0])
		d.IPv4.LastUse()
	}
	return b
}

// conserve runs a forwarder under load until the moment of the round, and then checks the balance of the counters.
func conserve(t *testing.T, round int, b busy, n int, wrap func(int, vswitch.Port) vswitch.Port) {
	t.Helper()
	var far []*vswitchtest.Port
	var near []vswitch.Port
	for i := range n {
		p := vswitchtest.NewPort(64) // soon full
		far, near = append(far, p), append(near, wrap(i, p))
	}
	began := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- vswitch.New(b, func() time.Duration { return time.Since(began) }, near...).Run(ctx)
	}()
	var work sync.WaitGroup
	for i, p := range far {
		work.Go(func() {
			for n := 0; p.Inject(b.frames[i][n%len(b.frames[i])]); n++ {
				p.TryNext()
			}
		})
	}
	for n := 0; far[round%len(far)].Counters().RxFrames.Load() < uint64(round*23); n++ {
		b.change(n)
	}
	gone := errors.New("device removed")
	if round%3 == 0 {
		far[round%len(far)].Lose(gone)
	} else {
		stop()
	}
	if err := <-ended; err != nil && err != gone {
		t.Errorf("round %d: Run = %v", round, err)
	}
	for _, p := range far {
		if open := round%3 != 0 && round%2 == 0; p.IsClosed() == open {
			t.Errorf("round %d: a port is open after Run: %v, want %v", round, !open, open)
		}
		p.Close()
	}
	work.Wait()
	var in, out uint64
	for _, p := range far {
		in += p.Counters().RxFrames.Load()
		out += sentOrDropped(p.Counters())
	}
	if in != out {
		t.Errorf("round %d: %d frames entered, %d left or were dropped", round, in, out)
	}
}

// sentOrDropped returns the number of frames that were sent or dropped.
func sentOrDropped(c *vswitch.Counters) uint64 {
	n := c.TxFrames.Load()
	for _, dropped := range c.Drops() {
		n += dropped
	}
	return n
}
