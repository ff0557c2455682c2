package podnet

import (
	"context"

	"golang.org/x/sys/unix"
)

// A LinkState is the part of an interface's state that the switch follows. The zero value means that there is no such interface.
type LinkState struct {
	Present bool
	Up      bool // set up by the administrator (IFF_UP)
	Carrier bool // the other end exists and is up (IFF_LOWER_UP)
	Index   int
	Name    string // the present one
	MTU     int    // bytes
}

// Watch reports the state of the interface with the given name in the network namespace of the calling thread: the present state at
// once, then the state after each change. The channel holds only the newest state, so a slow reader misses intermediate ones. Watch closes
// it when ctx ends, or when the netlink socket fails.
func Watch(ctx context.Context, name string) (<-chan LinkState, error) {
	if err := checkLinkName(name); err != nil {
		return nil, err
	}
	return watch(ctx, name, func(c *rtnetlink) (foundLink, bool, error) { return c.linkByName(name) })
}

// WatchIndex is Watch for the interface with an index, whatever its name becomes.
func WatchIndex(ctx context.Context, l Link) (<-chan LinkState, error) {
	return watch(ctx, l.Name, func(c *rtnetlink) (foundLink, bool, error) { return c.linkByIndex(l.Index) })
}

func watch(ctx context.Context, name string, find func(*rtnetlink) (foundLink, bool, error)) (<-chan LinkState, error) {
	w, err := newWatcher(name, find)
	if err != nil {
		return nil, err
	}
	// The first state is read after the subscription, so that no change between the two is missed.
	if err := w.report(); err != nil {
		w.close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, w.events.close)
	go func() {
		defer stop()
		w.run()
	}()
	return w.states, nil
}

type watcher struct {
	name   string // for errors
	find   func(*rtnetlink) (foundLink, bool, error)
	events *rtnetlink // a notification only means that some interface changed; its content is not used
	conn   *rtnetlink
	states chan LinkState // capacity 1
	last   *LinkState     // the newest state that was put into states
}

func newWatcher(name string, find func(*rtnetlink) (foundLink, bool, error)) (*watcher, error) {
	events, err := openRtnetlink(unix.RTNLGRP_LINK)
	if err != nil {
		return nil, err
	}
	conn, err := openRtnetlink()
	if err != nil {
		events.close()
		return nil, err
	}
	return &watcher{name: name, find: find, events: events, conn: conn, states: make(chan LinkState, 1)}, nil
}

func (w *watcher) close() {
	w.events.close()
	w.conn.close()
}

// run ends when events is closed.
func (w *watcher) run() {
	defer close(w.states)
	defer w.close()
	for {
		_, _, err := w.events.handle.Socket.Receive()
		// ENOBUFS means that notifications were lost (netlink(7)), which is a reason to read the state as well.
		if err != nil && !isErrno(err, unix.ENOBUFS, unix.EINTR) {
			return
		}
		if w.report() != nil {
			return
		}
	}
}

// report reads the state. If it differs from the last one, report puts it into the channel, in place of an unread one.
func (w *watcher) report() error {
	link, ok, err := w.find(w.conn)
	if err != nil {
		return explain("read interface "+w.name, err)
	}
	var now LinkState
	if ok {
		now = LinkState{Present: true, Up: link.Up, Carrier: link.carrier, Index: link.Index, Name: link.Name, MTU: link.MTU}
	}
	if w.last != nil && *w.last == now {
		return nil
	}
	w.last = &now
	select {
	case <-w.states:
	default:
	}
	w.states <- now // never blocks: this is the only sender
	return nil
}
