package vswitch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"
)

// tickEvery is how often a Forwarder looks after its tables: neighbour requests are repeated once a second.
const tickEvery = time.Second

// A Forwarder decides where frames go. Ports are numbered from 0 in the order in which the Switch has them.
type Forwarder interface {
	// Forward decides about frames that entered at port in, at the time now on the switch's clock. It may change the
	// frames; it keeps none of them. It is called by one goroutine per port.
	Forward(in int, batch []Frame, now time.Duration, out *Out)
	// Tick does what is due at now without a frame. It runs in a goroutine of its own, once a second.
	Tick(now time.Duration, out *Out)
}

// A Switch moves frames between its ports as its Forwarder decides.
type Switch struct {
	forwarder Forwarder
	ports     []Port
	clock     func() time.Duration
}

// New makes a switch of the given ports, which it owns from here on: the end of Run closes them. The clock is monotonic.
func New(f Forwarder, clock func() time.Duration, ports ...Port) *Switch {
	return &Switch{forwarder: f, ports: ports, clock: clock}
}

// Run switches until ctx is done, and then returns nil; or until a port is lost or the forwarder fails, and then returns
// an error. All ports are closed when it returns.
func (s *Switch) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for in := range s.ports {
		group.Go(func() error { return s.guard(func() error { return s.serve(in) }) })
	}
	group.Go(func() error { return s.guard(func() error { return s.tick(ctx) }) })
	group.Go(func() error {
		<-ctx.Done()
		var errs error
		for _, p := range s.ports {
			errs = errors.Join(errs, p.Close())
		}
		return errs
	})
	return group.Wait()
}

// serve is the life of one port.
func (s *Switch) serve(in int) error {
	port, out := s.ports[in], NewOut(len(s.ports), s.ports[in].Counters())
	transmit := func(to int, frames []Frame) { s.ports[to].Transmit(frames) }
	batch := make([]Frame, BatchSize)
	for {
		n, err := port.Receive(batch)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		bytes := 0
		for _, f := range batch[:n] {
			bytes += len(f.Data)
		}
		out.in.RxFrames.Add(uint64(n))
		out.in.RxBytes.Add(uint64(bytes))
		s.forwarder.Forward(in, batch[:n], s.clock(), out)
		out.Flush(transmit)
	}
}

func (s *Switch) tick(ctx context.Context) error {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	out := NewOut(len(s.ports), new(Counters))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.forwarder.Tick(s.clock(), out)
			out.Flush(func(to int, frames []Frame) { s.ports[to].Transmit(frames) })
		}
	}
}

// guard turns a panic into an error, so that the caller still gives the pod address back.
func (s *Switch) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal fault: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}
