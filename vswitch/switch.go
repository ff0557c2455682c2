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

// tickInterval is how often a Forwarder looks after its tables: neighbour requests are repeated once a second.
const tickInterval = time.Second

// A Forwarder decides where frames go. Ports are numbered from 0 in the order in which the Switch has them.
type Forwarder interface {
	// Forward decides about frames that entered at port in, at the time now on the switch's clock. It may change the
	// frames; it keeps none of them. It is called by one goroutine at a time for each port, and beside
	// itself for different ones.
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

// New makes a switch of the given ports. They are its alone while Run runs; what Run has left open, the caller closes. The clock
// is monotonic, in the time since any moment.
func New(f Forwarder, clock func() time.Duration, ports ...Port) *Switch {
	return &Switch{forwarder: f, ports: ports, clock: clock}
}

// Run switches until ctx is done, and then returns nil; or until a port is lost or the forwarder fails, and then returns
// an error and has closed all ports.
//
// When ctx is done, no frame that was received is lost. Ports that are Interrupters stop receiving and stay open. Once
// everything that they had received was transmitted, the other ports are closed, because nothing else ends their Receive; what
// these still had in hand is transmitted, or dropped and counted by a port that is closed by then.
func (s *Switch) Run(ctx context.Context) error {
	group, ending := errgroup.WithContext(ctx)
	var first sync.WaitGroup // what ends without a Close
	start := func(endsFirst bool, f func() error) {
		if endsFirst {
			first.Add(1)
		}
		group.Go(func() error {
			if endsFirst {
				defer first.Done()
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
		asked := ctx.Err() != nil
		if asked {
			s.interrupt()
			first.Wait()
		}
		return s.close(asked)
	})
	err := group.Wait()
	if err != nil {
		s.close(false) // err says more
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

// close closes all ports, or those only that cannot be interrupted.
func (s *Switch) close(others bool) (err error) {
	for _, p := range s.ports {
		if _, interruptible := p.(Interrupter); !interruptible || !others {
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

// forward switches what one port receives.
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
		clear(batch[:n]) // a port that is lost leaves with its memory
	}
}

func (s *Switch) tick(ctx context.Context) error {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	var counters []*Counters
	for _, p := range s.ports {
		counters = append(counters, p.Counters())
	}
	out := NewTickOut(new(Counters), counters)
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
