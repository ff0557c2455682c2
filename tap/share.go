package tap

import (
	"errors"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// perThread is how many ports share a thread: what a wait costs grows with them.
const perThread = 4

// A turnTaker is a port that can receive by turns with others.
type turnTaker interface{ SetTurn(*descriptor.Turn) }

// setTurn makes a port receive by turns, if it can.
func setTurn(p vswitch.Port, t *descriptor.Turn) {
	if s, ok := p.(turnTaker); ok {
		s.SetTurn(t)
	}
}

// Threads are those that ports share.
type Threads []*descriptor.Loop

// ShareThreads lets the ports that NewReattaching has made share threads, four in each, neighbours in the list together; other ports go on
// by themselves. It is called before a Switch has the ports. The threads belong to the caller, who closes them when that has ended.
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

// Close ends the threads.
func (t Threads) Close() (err error) {
	for _, loop := range t {
		err = errors.Join(err, loop.Close())
	}
	return err
}
