package vswitch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// tickInterval is the time between two calls of Forwarder.Tick.
const tickInterval = time.Second

// A Forwarder decides where frames go. Ports are numbered from 0, in the order of New's arguments. Times are those of the clock that was
// passed to New; they never decrease for one goroutine.
type Forwarder interface {
	// Forward decides about a batch of frames that entered at port in, and records each decision with out.Send or out.Drop. It may
	// change the frames and must not keep them. It is called for different ports concurrently, but not for the same port.
	Forward(in int, batch []Frame, now time.Duration, out *Out)
	// Tick performs work that no frame triggers, such as timeouts. It is called once a second, concurrently with Forward.
	Tick(now time.Duration, out *Out)
}

// A Switch moves frames between ports as its Forwarder decides. Use New to make one.
type Switch struct {
	forwarder Forwarder
	ports     []Port
	clock     func() time.Duration
}

// New returns a switch with the given ports. The ports belong to the switch while Run runs; the caller closes the ports that Run leaves
// open. The clock must be monotonic; it returns the time since any fixed moment, for example time.Since(start).
func New(f Forwarder, clock func() time.Duration, ports ...Port) *Switch {
	return &Switch{forwarder: f, ports: ports, clock: clock}
}

// Run moves frames until ctx is done, and then returns nil. If a port is lost, or the forwarder panics, Run closes all ports and
// returns an error. Run must be called at most once.
//
// When ctx is done, Run ends in an order that loses no received frame:
//
//  1. Interrupt the ports that are Interrupters. They stop receiving and stay open.
//  2. Wait until the frames that they have received are transmitted.
//  3. Close the other ports, because only that ends their Receive. Frames that these ports have received by then are transmitted, or
//     counted as drops by a closed port.
func (s *Switch) Run(ctx context.Context) error {
	group, ending := errgroup.WithContext(ctx)
	var endsWithoutClose sync.WaitGroup
	start := func(needsNoClose bool, f func() error) {
		if needsNoClose {
			endsWithoutClose.Add(1)
		}
		group.Go(func() error {
			if needsNoClose {
				defer endsWithoutClose.Done()
			}
			return s.guard(f)
		})
	}
	for in, p := range s.ports {
		_, interruptible := p.(Interrupter)
		start(interruptible, func() error { return s.serve(in) })
	}
	start(true, func() error { return s.tick(ending) })
	group.Go(func() error {
		<-ending.Done()
		isStop := ctx.Err() != nil
		if isStop {
			s.interrupt()
			endsWithoutClose.Wait()
		}
		return s.close(isStop)
	})
	err := group.Wait()
	if err != nil {
		s.close(false) // err is the cause, and more useful than a further error
	}
	return err
}

func (s *Switch) interrupt() {
	for _, p := range s.ports {
		if i, ok := p.(Interrupter); ok {
			i.Interrupt()
		}
	}
}

// close closes all ports, or all except the Interrupters.
func (s *Switch) close(keepInterrupters bool) (err error) {
	for _, p := range s.ports {
		if _, interruptible := p.(Interrupter); !interruptible || !keepInterrupters {
			err = errors.Join(err, p.Close())
		}
	}
	return err
}

// serve runs the loop of one port, in the thread that the port chooses.
func (s *Switch) serve(in int) (err error) {
	runner, ok := s.ports[in].(ThreadRunner)
	if !ok {
		return s.forward(in)
	}
	runner.RunInThread(func() { err = s.guard(func() error { return s.forward(in) }) })
	return err
}

// forward receives from one port until it is closed, and forwards each batch.
func (s *Switch) forward(in int) error {
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
		clear(batch[:n]) // do not keep the memory of a closed port
	}
}

func (s *Switch) tick(ctx context.Context) error {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	var counters []*Counters
	for _, p := range s.ports {
		counters = append(counters, p.Counters())
	}
	out := newTickOut(new(Counters), counters)
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

// guard returns a panic of f as an error, so that the process can still clean up.
func (s *Switch) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal fault: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}
