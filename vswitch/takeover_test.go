package vswitch_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
	"github.com/podswitch/podswitch/vswitch/vswitchtest"
)

// Switches take over from each other under load at all ports, while the holder and the neighbours change. No frame is lost: at each takeover,
// every frame that has entered or was made is sent, counted as a drop, or held. In the end, every frame has entered.
func TestTakeoverConserves(t *testing.T) {
	const generations, frames = 12, 3000
	s := scriptOf(t, "delegate\nipv6\nkeep 8080")
	var far []*vswitchtest.Port
	for range s.ports {
		far = append(far, vswitchtest.NewPort(64))
	}
	var work sync.WaitGroup
	for port, lines := range takeoverLoad() {
		work.Go(func() {
			for n := range frames {
				w := newWords(fmt.Sprintf(lines[n%len(lines)], 10+n/len(lines)%40), s.names)
				far[port].Inject(w.frame())
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reading, stopReading := context.WithCancel(ctx)
	var readers sync.WaitGroup
	for _, p := range far {
		readers.Go(func() {
			for err := error(nil); err == nil; _, err = p.Next(reading) {
			}
		})
	}
	g := newGeneration(s, far, nil)
	held := 0
	for n := range generations {
		upTo := uint64(len(far) * frames * (n + 1) / generations)
		held += g.run(ctx, t, upTo)
		if n == generations-1 {
			break
		}
		next := newGeneration(s, far, g)
		if err := next.resume(g); err != nil {
			t.Fatalf("generation %d: %v", n, err)
		}
		g = next
	}
	work.Wait()
	stopReading()
	readers.Wait()
	for port := range far {
		if in := g.ports[port].Counters().RxFrames.Load(); in != frames {
			t.Errorf("%d frames entered at port %d, want %d", in, port, frames)
		}
	}
	if held == 0 {
		t.Error("no frame was held at any takeover: the test shows nothing about held frames")
	}
}

// takeoverLoad returns the frames for each port, with %d for the number of a host. Every host sends requests for the pod address, which make it
// a known neighbour until it expires.
func takeoverLoad() [][]string {
	return [][]string{
		vswitch.PortGuest: {"guest > router ip 10.244.1.7 > 10.244.1.%d udp 1 > 2", "guest > router ip 10.244.1.7 > 10.0.0.%d df tcp 1000 > 80 ack data 3000 gso tcp4 1398",
			"guest > router ip6 fd00:10:244:1::7 > fd00:10:244:1::%d udp 1 > 2"},
		vswitch.PortUplink: {"peer > broadcast arp who-has 10.244.1.7 tell 10.244.1.%d", "gw > wire ip 10.0.0.%d > 10.244.1.7 udp 2 > 1",
			"peer > 33:33:ff:00:00:07 ip6 fd00:10:244:1::%d > ff02::1:ff00:7 icmp6 ns fd00:10:244:1::7 link peer"},
		vswitch.PortPod:    {"wire > gw ip 10.244.1.7 > 10.244.1.%d tcp 8080 > 2 ack"},
		vswitch.PortServer: {"router > guest ip 169.254.75.1 > 10.244.1.7 udp 53 > %d"},
	}
}

// A generation is one of the switches that take over from each other.
type generation struct {
	delegate *vswitch.Delegate
	ports    []vswitch.Port
	clock    func() time.Duration
	ended    time.Duration // time of its clock when Run returned
	made     *atomic.Uint64
}

func newGeneration(s *script, far []*vswitchtest.Port, before *generation) *generation {
	began := time.Now()
	g := &generation{delegate: vswitch.NewDelegate(s.delegate), made: new(atomic.Uint64)}
	// A millisecond of the test is a second of the forwarder. The clocks of two generations differ.
	g.clock = func() time.Duration { return 1000*time.Since(began) + 1 }
	if before == nil {
		g.delegate.IPv4.SetHolder(vswitch.HolderGuest, s.names["guest"])
		g.delegate.IPv6.SetHolder(vswitch.HolderGuest, s.names["guest"])
	} else {
		g.made = before.made
	}
	for i, p := range far {
		g.ports = append(g.ports, observed{p.Again(), i, g.made})
	}
	return g
}

func (g *generation) resume(before *generation) error {
	for i, p := range before.ports {
		if err := passOn(p.Counters().State(), g.ports[i].Counters().Resume); err != nil {
			return err
		}
	}
	return passOn(before.delegate.State(before.ended), func(s handover.Delegate) error { return g.delegate.Resume(s, g.clock()) })
}

// run switches until the given number of frames has entered since the first generation, and checks the balance. It returns the number of held
// frames.
func (g *generation) run(ctx context.Context, t *testing.T, upTo uint64) (held int) {
	t.Helper()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- vswitch.New(g.delegate, g.clock, g.ports...).Run(running) }()
	var counters []*vswitch.Counters
	for _, p := range g.ports {
		counters = append(counters, p.Counters())
	}
	ticks := vswitch.NewTickOut(new(vswitch.Counters), counters)
	for n := 0; g.sum().RxFrames < upTo && ctx.Err() == nil; n++ {
		for _, v := range g.delegate.Families() {
			v.SetHolder([]vswitch.Holder{vswitch.HolderGuest, vswitch.HolderGuest, vswitch.HolderSwitch}[n%3], vswitch.MAC{})
		}
		g.delegate.Tick(g.clock(), ticks)
		ticks.Flush(func(port int, frames []vswitch.Frame) { g.ports[port].Transmit(frames) })
		g.delegate.State(g.clock())
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	g.ended = g.clock()
	state := g.delegate.State(g.ended)
	for _, q := range append(state.Questions, state.IPv6.Questions...) {
		held += len(q.Frames)
	}
	sum := g.sum()
	out := sum.TxFrames + uint64(held)
	for _, n := range sum.Drops {
		out += n
	}
	if in := sum.RxFrames + g.made.Load(); in != out {
		t.Errorf("%d frames entered, %d were made; %d were sent, %d are held, drops: %v", sum.RxFrames, g.made.Load(), sum.TxFrames, held, sum.Drops)
	}
	return held
}

// sum adds the counters of the ports.
func (g *generation) sum() handover.Counters {
	total := handover.Counters{Drops: make(map[string]uint64)}
	for _, p := range g.ports {
		s := p.Counters().State()
		total.RxFrames += s.RxFrames
		total.TxFrames += s.TxFrames
		for reason, n := range s.Drops {
			total.Drops[reason] += n
		}
	}
	return total
}

// An observed port counts the frames that the forwarder makes: ARP requests and neighbour solicitations on the wire, ICMP errors for the guest.
type observed struct {
	*vswitchtest.Port
	number int
	made   *atomic.Uint64
}

func (o observed) Transmit(batch []vswitch.Frame) {
	for _, f := range batch {
		if f.Data[12] == 0x86 { // an advertisement answers a frame, and is not made
			if kind := f.Data[54]; f.Data[20] == 58 && (o.number == vswitch.PortUplink && kind == 135 || o.number == vswitch.PortGuest && kind == 1) {
				o.made.Add(1)
			}
			continue
		}
		isARP := f.Data[12] == 8 && f.Data[13] == 6
		if o.number == vswitch.PortUplink && isARP || o.number == vswitch.PortGuest && !isARP && f.Data[23] == 1 {
			o.made.Add(1)
		}
	}
	o.Port.Transmit(batch)
}
