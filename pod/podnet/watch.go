package podnet

import (
	"context"

	"golang.org/x/sys/unix"
)

// A LinkState is what matters of an interface while the switch runs. The zero value: there is no such interface.
type LinkState struct {
	Present bool
	Up      bool // set up by the administrator (IFF_UP)
	Carrier bool // the other end is there and up (IFF_LOWER_UP)
	Index   int
	MTU     int // bytes
}

// Watch reports the state of the interface with the given name in the network namespace of the calling thread: the
// present state at once, then after each change. The channel holds the newest state only; a slow reader misses
// intermediate ones. It is closed when ctx ends, or when the kernel stops answering.
func Watch(ctx context.Context, name string) (<-chan LinkState, error) {
	if err := checkLinkName(name); err != nil {
		return nil, err
	}
	events, err := openRtnetlink(unix.RTNLGRP_LINK)
	if err != nil {
		return nil, err
	}
	conn, err := openRtnetlink()
	if err != nil {
		events.close()
		return nil, err
	}
	// Subscribed first and asked second: a change in between is seen twice rather than not at all.
	w := &watcher{name: name, events: events, conn: conn, states: make(chan LinkState, 1)}
	if err := w.look(); err != nil {
		events.close()
		conn.close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, events.close)
	go func() {
		defer stop()
		w.run()
	}()
	return w.states, nil
}

type watcher struct {
	name   string
	events *rtnetlink // notifications; what they say is not used, only that something changed
	conn   *rtnetlink
	states chan LinkState // room for one
	last   *LinkState
}

// run ends when events is closed.
func (w *watcher) run() {
	defer close(w.states)
	defer w.conn.close()
	defer w.events.close()
	for {
		_, _, err := w.events.handle.Socket.Receive()
		// ENOBUFS: notifications were lost, so something changed.
		if err != nil && !is(err, unix.ENOBUFS, unix.EINTR) {
			return
		}
		if w.look() != nil {
			return
		}
	}
}

// look asks for the state and puts it into the channel, in place of one that nobody has read, if it is news.
func (w *watcher) look() error {
	link, carrier, ok, err := w.conn.link(0, w.name)
	if err != nil {
		return explain("look at "+w.name, err)
	}
	var now LinkState
	if ok {
		now = LinkState{Present: true, Up: link.Up, Carrier: carrier, Index: link.Index, MTU: link.MTU}
	}
	if w.last != nil && *w.last == now {
		return nil
	}
	w.last = &now
	select {
	case <-w.states:
	default:
	}
	w.states <- now // there is room: this is the only sender
	return nil
}
