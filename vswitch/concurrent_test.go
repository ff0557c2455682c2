package vswitch_test

import (
	"context"
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
