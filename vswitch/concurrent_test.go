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

// Every port of a busy switch sends and receives at once, while stations come and go. Each frame arrives where it has to,
// once; flooding may bring it elsewhere too, but never back.
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

// target is where the frame number n of a port goes: to the others in turn.
func target(from, n, ports int) int { return (from + 1 + n%(ports-1)) % ports }

func numbered(from, to, n int) vswitch.Frame {
	f := vswitch.Frame{Data: make([]byte, 64)}
	f.Data[0], f.Data[5] = 2, byte(to)
	f.Data[6], f.Data[11] = 2, byte(from)
	f.Data[12], f.Data[14], f.Data[15] = 0x99, byte(n>>8), byte(n)
	return f
}

// receiveAll takes frames until every one for this port has come. Those of one sender come in order.
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
			t.Errorf("port %d: %d frames did not come: %v", port, len(missing), err)
			return
		}
		got := id{int(f.Data[11]), int(f.Data[14])<<8 | int(f.Data[15])}
		if to := int(f.Data[5]); got.from == port || got.n < last[got.from] || to == port && !missing[got] {
			t.Errorf("port %d: frame %+v for %d came back, late or twice", port, got, to)
		}
		last[got.from] = got.n
		if int(f.Data[5]) == port {
			delete(missing, got)
		}
	}
}

// IP mode with traffic at every port while the holder changes: what the guest sends is delivered or counted, all of it.
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
		d.Hand([]vswitch.Holder{vswitch.HolderSwitch, vswitch.HolderGuest}[i%2], vswitch.MAC{})
		d.Heard(s.names["guest"])
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

// A switch is stopped, or loses a port, at any moment while frames of all kinds are on their way, the address changes hands and
// stations come and go: every frame that entered is counted once more, as sent or under the reason why it was not.
func TestRunConserves(t *testing.T) {
	for round := range 40 {
		conserve(t, round, busyBridge(), 2)
		conserve(t, round, busyDelegate(t), 4)
	}
}

// A busy forwarder has frames for each port that make no others, and tables that somebody changes meanwhile.
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
	s, err := parseScript("delegate", "# Busy.\ndelegate\nkeep 8080\nno-arp\n+0 tick\n")
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
		{vswitch.PortGuest, "guest > router ip 10.244.1.7 > 10.0.0.1 tcp 8080 > 2 ack"},
		{vswitch.PortGuest, "guest > router ip 10.244.1.8 > 10.0.0.1 udp 1 > 2"},
		{vswitch.PortGuest, "guest > router ip 10.244.1.7 > 169.254.75.1 udp 5353 > 53"},
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
		d.Hand(vswitch.Holder(n%3), macs[n/3%3])
		d.Heard(macs[0])
		d.LastHeard()
	}
	return b
}

// conserve runs a forwarder under load until the round's moment has come, and balances the counters.
func conserve(t *testing.T, round int, b busy, n int) {
	t.Helper()
	var far []*vswitchtest.Port
	var near []vswitch.Port
	for range n {
		p := vswitchtest.NewPort(64) // soon full
		far, near = append(far, p), append(near, p)
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
	gone := errors.New("device is gone")
	if round%3 == 0 {
		far[round%len(far)].Lose(gone)
	} else {
		stop()
	}
	if err := <-ended; err != nil && err != gone {
		t.Errorf("round %d: Run = %v", round, err)
	}
	work.Wait()
	var in, out uint64
	for _, p := range far {
		c := p.Counters()
		in += c.RxFrames.Load()
		out += c.TxFrames.Load()
		for _, n := range c.Drops() {
			out += n
		}
		if !p.IsClosed() {
			t.Errorf("round %d: a port is open after Run", round)
		}
	}
	if in != out {
		t.Errorf("round %d: %d frames entered, %d left or were dropped", round, in, out)
	}
}
