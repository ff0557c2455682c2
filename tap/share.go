package tap

import (
	"errors"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// perThread is the number of ports that share a thread. The cost of a poll(2) grows with their number.
const perThread = 4

// A turnTaker is a port that can receive in the thread of a descriptor.Loop.
type turnTaker interface{ SetTurn(*descriptor.Turn) }

// setTurn makes a port receive in the thread of t's Loop, if the port is a turnTaker.
func setTurn(p vswitch.Port, t *descriptor.Turn) {
	if s, ok := p.(turnTaker); ok {
		s.SetTurn(t)
	}
}

// Threads are the threads that ports share. The zero value has none.
//
// How a port gets to its thread:
//
//  1. ShareThreads assigns a descriptor.Loop to each port that NewReattaching has made.
//  2. vswitch.Switch calls the port's RunInThread, which runs the port's receive loop as a function of that Loop.
//  3. RunInThread passes the Turn on to the device's port (setTurn), and reopen to each port that replaces it.
//  4. The device's port waits by the Turn. When the device is lost, Receive leaves the thread before it waits for another device.
type Threads []*descriptor.Loop

// ShareThreads starts threads for the ports that NewReattaching has made, four ports in each, in the order of the list. Other ports
// keep their own thread. Call ShareThreads before vswitch.New; the caller owns the threads and closes them after Switch.Run has
// returned. After an error no thread is left.
func ShareThreads(ports []vswitch.Port) (threads Threads, err error) {
	shared := 0
	for _, p := range ports {
		r, ok := p.(*reattachingPort)
		if !ok {
			continue
		}
		if shared%perThread == 0 {
			loop, err := descriptor.NewLoop()
			if err != nil {
				return nil, errors.Join(err, threads.Close())
			}
			threads = append(threads, loop)
		}
		r.loop = threads[len(threads)-1]
		shared++
	}
	return threads, nil
}

// Close ends the threads. It must not be called twice.
func (t Threads) Close() (err error) {
	for _, loop := range t {
		err = errors.Join(err, loop.Close())
	}
	return err
}
