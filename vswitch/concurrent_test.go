package vswitch_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
	"github.com/podswitch/podswitch/vswitch/vswitchtest"
)

// All ports of a switch send and receive concurrently while stations change. Each frame arrives at its destination exactly once; flooding may
// deliver it at other ports too, but not at its own.
func TestRunConcurrent(t *testing.T) {
	const ports, frames = 4, 4000
	bridge := newBridge(ports)
	var far []*vswitchtest.Port
	var near []vswitch.Port
	for range ports {
		p := vswitchtest.NewPort(ports * frames)
		far, near = append(far, p), append(near, p)
	}
	began := time.Now()
	clock := func() time.Duration { return time.Since(began) }
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- vswitch.New(bridge, clock, near...).Run(ctx) }()
	var work sync.WaitGroup
	for i, p := range far {
		work.Go(func() {
			for n := range frames {
				p.Inject(numbered(i, target(i, n, ports), n))
				if n%500 == 0 {
					bridge.Forget(i)
					bridge.Stations(clock())
				}
			}
		})
		work.Go(func() { receiveAll(ctx, t, p, i, ports, frames) })
	}
	work.Wait()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

// target returns the destination port of frame n of a port: the other ports in turn.
func target(from, n, ports int) int { return (from + 1 + n%(ports-1)) % ports }

func numbered(from, to, n int) vswitch.Frame {
	f := vswitch.Frame{Data: make([]byte, 64)}
	f.Data[0], f.Data[5] = 2, byte(to)
	f.Data[6], f.Data[11] = 2, byte(from)
	f.Data[12], f.Data[14], f.Data[15] = 0x99, byte(n>>8), byte(n)
	return f
}

// receiveAll reads frames until all frames for this port have arrived. The frames of one sender arrive in order.
func receiveAll(ctx context.Context, t *testing.T, p *vswitchtest.Port, port, ports, frames int) {
	type id struct{ from, n int }
	missing := make(map[id]bool)
	for from := range ports {
		for n := range frames {
			if from != port && target(from, n, ports) == port {
				missing[id{from, n}] = true
			}
		}
	}
	last := make(map[int]int)
	for len(missing) > 0 {
		f, err := p.Next(ctx)
		if err != nil {
			t.Errorf("port %d: %d frames are missing: %v", port, len(missing), err)
			return
		}
		got := id{int(f.Data[11]), int(f.Data[14])<<8 | int(f.Data[15])}
		if to := int(f.Data[5]); got.from == port || got.n < last[got.from] || to == port && !missing[got] {
			t.Errorf("port %d: frame %+v for %d is reflected, late or a duplicate", port, got, to)
		}
		last[got.from] = got.n
		if int(f.Data[5]) == port {
			delete(missing, got)
		}
	}
}

// IP mode with traffic at all ports while the holder changes: every frame of the guest is delivered or counted.
func TestRunDelegateConcurrent(t *testing.T) {
	s, err := parseScript("delegate", "# Busy.\ndelegate\nkeep 8080\npermanent 10.244.1.1 gw\n+0 tick\n")
	if err != nil {
		t.Fatal(err)
	}
	d := vswitch.NewDelegate(s.delegate)
	const frames = 3000
	var far []*vswitchtest.Port
	var near []vswitch.Port
	for range s.ports {
		p := vswitchtest.NewPort(4 * frames)
		far, near = append(far, p), append(near, p)
	}
	began := time.Now()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- vswitch.New(d, func() time.Duration { return time.Since(began) }, near...).Run(ctx) }()
	var work sync.WaitGroup
	for port, line := range []string{
		"guest > router ip 10.244.1.7 > 10.0.0.1 udp 1 > 2",
		"peer > broadcast arp who-has 10.244.1.7 tell 10.244.1.9",
		"wire > gw ip 10.244.1.7 > 10.244.1.9 tcp 8080 > 2",
		"router > guest ip 169.254.75.1 > 10.244.1.7 udp 53 > 5353",
	} {
		w := newWords(line, s.names)
		f := w.frame()
		work.Go(func() {
			for range frames {
				far[port].Inject(f)
			}
		})
	}
	for i := range frames {
		d.IPv4.SetHolder([]vswitch.Holder{vswitch.HolderSwitch, vswitch.HolderGuest}[i%2], vswitch.MAC{})
		d.IPv4.LastUseBy(s.names["guest"])
	}
	work.Wait()
	guest, wire, pod := far[0], far[1], far[2]
	uplink := map[byte]int{} // frames by IP protocol
	accounted := func() bool {
		refused, full := guest.Counters().Drops()["not-holder"], pod.Counters().Drops()["neighbour-queue-full"]
		return uplink[17]+int(refused) >= frames && uplink[6]+int(full) >= frames
	}
	for !accounted() {
		wait, cancel := context.WithTimeout(ctx, 10*time.Millisecond) // drops come without a frame
		if f, err := wire.Next(wait); err == nil && f.Data[12] == 8 && f.Data[13] == 0 {
			uplink[f.Data[23]]++
		}
		cancel()
		if ctx.Err() != nil {
			t.Fatalf("%d frames of the guest and %d of the pod left; drops: %v, %v", uplink[17], uplink[6],
				guest.Counters().Drops(), pod.Counters().Drops())
		}
	}
	if uplink[17] > frames || uplink[6] > frames {
		t.Errorf("%d frames of the guest and %d of the pod left, want at most %d of each", uplink[17], uplink[6], frames)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}
