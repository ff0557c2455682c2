package vswitch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podswitch/podswitch/vswitch"
	"github.com/podswitch/podswitch/vswitch/vswitchtest"
)

// A rig is a switch in a synctest bubble, which fails the test if a goroutine outlives Run.
type rig struct {
	ports []*vswitchtest.Port
	stop  context.CancelFunc
	ended chan error
}

// start runs a switch with n ports; wrap may replace them.
func start(t *testing.T, f vswitch.Forwarder, n int, wrap func(i int, p vswitch.Port) vswitch.Port) *rig {
	t.Helper()
	r := &rig{ended: make(chan error, 1)}
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	var ports []vswitch.Port
	for i := range n {
		p := vswitchtest.NewPort(1024)
		r.ports = append(r.ports, p)
		ports = append(ports, wrap(i, p))
	}
	began := time.Now()
	s := vswitch.New(f, func() time.Duration { return time.Since(began) }, ports...)
	go func() { r.ended <- s.Run(ctx) }()
	return r
}

func plain(_ int, p vswitch.Port) vswitch.Port { return p }

// A closable port can only be closed.
type closable struct{ vswitch.Port }

func onlyClosable(_ int, p vswitch.Port) vswitch.Port { return closable{p} }

// end waits for Run and checks that the ports are open if Run returned nil, and otherwise closed.
func (r *rig) end(t *testing.T) error {
	t.Helper()
	err := <-r.ended
	r.closed(t, err != nil)
	return err
}

func (r *rig) closed(t *testing.T, want bool) {
	t.Helper()
	for i, p := range r.ports {
		if p.IsClosed() != want {
			t.Errorf("port %d is closed after Run: %v, want %v", i, !want, want)
		}
	}
}

func shorthand(t *testing.T, line string) vswitch.Frame {
	t.Helper()
	w := newWords(line, nil)
	f := w.frame()
	if err := w.end(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return f
}

func newBridge(ports int) *vswitch.Bridge {
	return vswitch.NewBridge(vswitch.BridgeConfig{Ports: ports, Ageing: 300 * time.Second, Limit: 1024, Upstream: -1})
}

// Frames are forwarded and counted. When the context is done, Run returns nil.
func TestRunForwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newBridge(3), 3, plain)
		a := shorthand(t, "02:..:01 > 02:..:02 ip 10.0.0.1 > 10.0.0.2 tcp 1 > 80 data 30000 gso tcp4 1448")
		r.ports[0].Inject(a, shorthand(t, "raw 0102"))
		for _, i := range []int{1, 2} {
			got, err := r.ports[i].Next(t.Context())
			if diff := cmp.Diff(a, got); err != nil || diff != "" {
				t.Errorf("port %d (-want +got):\n%s%v", i, diff, err)
			}
		}
		b := shorthand(t, "02:..:02 > 02:..:01 ipv6")
		r.ports[1].Inject(b)
		if got, err := r.ports[0].Next(t.Context()); err != nil || !cmp.Equal(b, got) {
			t.Errorf("port 0: %x, %v", got.Data, err)
		}
		synctest.Wait()
		if f, ok := r.ports[2].TryNext(); ok {
			t.Errorf("port 2 got %x", f.Data)
		}
		c := r.ports[0].Counters()
		if rx, bytes := c.RxFrames.Load(), c.RxBytes.Load(); rx != 2 || bytes != uint64(len(a.Data)+2) {
			t.Errorf("port 0 received %d frames, %d bytes; want 2 and %d", rx, bytes, len(a.Data)+2)
		}
		if diff := cmp.Diff(map[string]uint64{"short": 1}, c.Drops()); diff != "" {
			t.Errorf("drops (-want +got):\n%s", diff)
		}
		r.stop()
		if err := r.end(t); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

// When the context is done, Run closes the ports that cannot be interrupted.
func TestRunCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newBridge(2), 2, onlyClosable)
		synctest.Wait()
		r.stop()
		if err := <-r.ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		r.closed(t, true)
	})
}

// Run returns at once if the context is done already.
func TestRunStoppedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		open, shut := vswitchtest.NewPort(1), vswitchtest.NewPort(1)
		if err := vswitch.New(newBridge(2), func() time.Duration { return 0 }, open, closable{shut}).Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
		if open.IsClosed() || !shut.IsClosed() {
			t.Errorf("closed: %v, %v; want only the port that cannot be interrupted", open.IsClosed(), shut.IsClosed())
		}
	})
}

// A batch that was received before the stop is transmitted. Between two ports that cannot be interrupted it is dropped.
func TestRunFinishes(t *testing.T) {
	for name, wraps := range map[string][2]func(int, vswitch.Port) vswitch.Port{
		"both go on": {plain, plain}, "it enters at one that is closed": {onlyClosable, plain},
		"it leaves at one that is closed": {plain, onlyClosable}, "both are closed": {onlyClosable, onlyClosable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := &waiting{Forwarder: newBridge(2), entered: make(chan struct{}), goOn: make(chan struct{})}
				r := start(t, slow, 2, func(i int, p vswitch.Port) vswitch.Port { return wraps[i](i, p) })
				r.ports[0].Inject(shorthand(t, "02:..:01 > 02:..:02 ipv6"))
				<-slow.entered
				r.stop()
				synctest.Wait() // everything that does not wait for the frame is done
				close(slow.goOn)
				if err := <-r.ended; err != nil {
					t.Errorf("Run = %v", err)
				}
				if _, sent := r.ports[1].TryNext(); sent != (name != "both are closed") {
					t.Errorf("the frame left: %v; drops: %v", sent, r.ports[1].Counters().Drops())
				}
			})
		})
	}
}

// A waiting forwarder reports that Forward was called, and waits before it returns.
type waiting struct {
	vswitch.Forwarder
	entered, goOn chan struct{}
}

func (w *waiting) Forward(in int, batch []vswitch.Frame, now time.Duration, out *vswitch.Out) {
	close(w.entered)
	<-w.goOn
	w.Forwarder.Forward(in, batch, now, out)
}

// If a port is lost, Run returns its error.
func TestRunLosesPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newBridge(3), 3, plain)
		gone := errors.New("device removed")
		r.ports[1].Lose(gone)
		err := r.end(t)
		if !errors.Is(err, gone) {
			t.Errorf("Run = %v, want %v", err, gone)
		}
		r.stop()
	})
}

// closing is a port whose Close returns an error.
type closing struct {
	vswitch.Port
	err error
}

func (c closing) Close() error { return errors.Join(c.Port.Close(), c.err) }

// Run returns an error of Close, after it has closed every port.
func TestRunCloseFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := errors.New("stuck")
		r := start(t, newBridge(2), 2, func(i int, p vswitch.Port) vswitch.Port {
			if i == 0 {
				return closing{p, stuck}
			}
			return p
		})
		r.stop()
		if err := r.end(t); !errors.Is(err, stuck) { // which closes the others too
			t.Errorf("Run = %v, want %v", err, stuck)
		}
	})
}

// faulty is a forwarder and a port that panic.
type faulty struct {
	vswitch.Forwarder
	vswitch.Port
	onForward, onTick bool
}

func (f *faulty) Forward(in int, batch []vswitch.Frame, now time.Duration, out *vswitch.Out) {
	if f.onForward {
		panic("a fault in Forward")
	}
	f.Forwarder.Forward(in, batch, now, out)
}

func (f *faulty) Tick(now time.Duration, out *vswitch.Out) {
	if f.onTick {
		panic("a fault in Tick")
	}
	f.Forwarder.Tick(now, out)
}

func (f *faulty) Transmit([]vswitch.Frame) { panic("a fault in Transmit") }

// Run returns a panic as an error with its stack, and closes the ports. The process continues and can give the address back.
func TestRunPanics(t *testing.T) {
	for name, f := range map[string]*faulty{"Forward": {onForward: true}, "Tick": {onTick: true}, "Transmit": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f.Forwarder = newBridge(2)
				r := start(t, f, 2, func(i int, p vswitch.Port) vswitch.Port {
					if i == 1 && name == "Transmit" {
						f.Port = p
						return f
					}
					return p
				})
				r.ports[0].Inject(shorthand(t, "02:..:01 > 02:..:02 ipv6"))
				err := r.end(t)
				if err == nil || !strings.Contains(err.Error(), "a fault in "+name) || !strings.Contains(err.Error(), "switch_test.go") {
					t.Errorf("Run = %v, want the fault in %s with its stack", err, name)
				}
				r.stop()
			})
		})
	}
}

// Ticks come once a second without traffic: a neighbour gets three requests, and then the guest gets an ICMP error.
func TestRunTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := parseScript("delegate", "# An unknown next hop.\ndelegate\n+0 tick\n")
		if err != nil {
			t.Fatal(err)
		}
		d := vswitch.NewDelegate(s.delegate)
		d.IPv4.SetHolder(vswitch.HolderGuest, s.names["guest"])
		r := start(t, d, 4, plain)
		began := time.Now()
		packet := "ip 10.244.1.7 > 10.244.1.9 icmp echo"
		r.ports[vswitch.PortGuest].Inject(shorthand(t, "02:..:01 > 02:..:fe "+packet))
		request := shorthand(t, "0a:58:0a:f4:01:07 > ff:ff:ff:ff:ff:ff arp who-has 10.244.1.9 tell 10.244.1.7")
		for try := range 3 {
			got, err := r.ports[vswitch.PortUplink].Next(t.Context())
			if diff := cmp.Diff(request, got); err != nil || diff != "" {
				t.Fatalf("try %d (-want +got):\n%s%v", try, diff, err)
			}
		}
		got, err := r.ports[vswitch.PortGuest].Next(t.Context())
		want := shorthand(t, "02:..:fe > 02:..:01 ip 10.244.1.1 > 10.244.1.7 tos 0xc0 icmp host-unreachable about "+packet)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("the guest (-want +got):\n%s%v", diff, err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %v, want 3s", took)
		}
		if got := r.ports[vswitch.PortGuest].Counters().Drops(); got["neighbour-unresolved"] != 1 {
			t.Errorf("drops of the guest's port: %v", got)
		}
		r.stop()
		if err := r.end(t); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}
