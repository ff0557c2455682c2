package dataplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/tap"
)

// errKeeperEnded is why a switch ends whose keeper has.
var errKeeperEnded = errors.New("the keeper has ended")

// A keeper is the other process, as the switch sees it: it says when to begin and to end, and opens what a switch may not.
type keeper struct {
	conn   *grant.Conn
	orders chan order    // what is said unasked, in order
	ended  chan struct{} // closed when the conversation has ended
	why    error         // and why; nil until then

	merge tap.Merging // what ports merge; asked once, because a switch that is locked in may not ask the kernel

	mu     sync.Mutex // guards the following
	opened []chan opened
	dials  map[uint64]chan dialled
	last   uint64 // number of the last dial
}

// An order is a message with the descriptors that came along.
type order struct {
	grant.Message
	files []int
}

// opened is a port's descriptor and what the keeper says of it.
type opened struct {
	grant.Opened
	fd int
}

type dialled struct {
	fd  int
	err error
}

// meet introduces the switch and returns what the keeper grants, with the control socket.
func meet(conn *grant.Conn, hello grant.Hello) (*keeper, *grant.Grant, *os.File, error) {
	hello.Version = grant.Version
	unsaid := conn.Send(grant.Message{Hello: &hello})
	m, files, err := conn.Receive() // also where nothing could be said: the keeper may have said why
	switch {
	case err != nil:
		return nil, nil, nil, fmt.Errorf("%w before it granted anything: %w", errKeeperEnded, cmp.Or(unsaid, err))
	case m.Fault != nil:
		return nil, nil, nil, errors.Join(m.Fault, grant.CloseFiles(files))
	case m.Grant == nil || len(files) != 1:
		return nil, nil, nil, errors.Join(errors.New("the keeper did not answer with a grant and a control socket"), grant.CloseFiles(files))
	}
	k := &keeper{conn: conn, orders: make(chan order, 16), ended: make(chan struct{}), dials: map[uint64]chan dialled{},
		merge: tap.Mergeable()}
	if m.Grant.NoMerge {
		k.merge = tap.MergeNothing
	}
	for range m.Grant.Ports {
		k.opened = append(k.opened, make(chan opened, 1))
	}
	go k.listen()
	return k, m.Grant, os.NewFile(uintptr(files[0]), "control socket"), nil
}

// listen hands on what the keeper says until the conversation ends.
func (k *keeper) listen() {
	defer close(k.ended)
	for k.why == nil {
		m, files, err := k.conn.Receive()
		switch {
		case err != nil:
			k.why = errKeeperEnded
		case m.Opened != nil:
			k.hearOpened(m.Opened, files)
		case m.Dialled != nil:
			k.hearDialled(m.Dialled, files)
		case m.Fault != nil:
			k.why = m.Fault
		case m.Go == nil: // nothing else has descriptors
			_ = grant.CloseFiles(files)
			k.orders <- order{Message: m}
		default:
			k.orders <- order{m, files}
		}
	}
}

// end ends the conversation, and closes what nobody has taken.
func (k *keeper) end() {
	k.conn.Close()
	for listening := true; listening; {
		select {
		case o := <-k.orders:
			_ = grant.CloseFiles(o.files)
		case <-k.ended:
			listening = false
		}
	}
	for len(k.orders) > 0 {
		_ = grant.CloseFiles((<-k.orders).files)
	}
	for _, c := range k.opened {
		if len(c) > 0 {
			_ = grant.CloseFiles([]int{(<-c).fd})
		}
	}
}

// hearOpened keeps the newest descriptor of a port.
func (k *keeper) hearOpened(o *grant.Opened, files []int) {
	if o.Port < 0 || o.Port >= len(k.opened) || len(files) != 1 {
		_ = grant.CloseFiles(files)
		return
	}
	select {
	case old := <-k.opened[o.Port]:
		_ = grant.CloseFiles([]int{old.fd})
	default:
	}
	k.opened[o.Port] <- opened{*o, files[0]}
}

func (k *keeper) hearDialled(d *grant.Dialled, files []int) {
	k.mu.Lock()
	answer := k.dials[d.ID]
	delete(k.dials, d.ID)
	k.mu.Unlock()
	switch {
	case answer == nil: // nobody wants it any more
		_ = grant.CloseFiles(files)
	case d.Err != "":
		_ = grant.CloseFiles(files)
		answer <- dialled{-1, errors.New(d.Err)}
	case len(files) != 1:
		_ = grant.CloseFiles(files)
		answer <- dialled{-1, fmt.Errorf("the keeper has connected, and passes %d descriptors on", len(files))}
	default:
		answer <- dialled{files[0], nil}
	}
}

// has tells whether the port's descriptor has come.
func (k *keeper) has(port int) bool { return len(k.opened[port]) > 0 }

// open waits until the port's descriptor comes.
func (k *keeper) open(ctx context.Context, port int) (opened, error) {
	select {
	case o := <-k.opened[port]:
		return o, nil
	case <-k.ended:
		return opened{}, k.why
	case <-ctx.Done():
		return opened{}, ctx.Err()
	}
}

// reopen asks for a port that was lost, and waits for it. What has come unasked is not asked for: another switch did that.
func (k *keeper) reopen(ctx context.Context, port int) (opened, error) {
	if k.has(port) {
		return k.open(ctx, port)
	}
	if err := k.conn.Send(grant.Message{Reopen: &grant.Reopen{Port: port}}); err != nil {
		return opened{}, fmt.Errorf("ask the keeper for a port: %w", err)
	}
	return k.open(ctx, port)
}

// dial connects to what the plan names.
func (k *keeper) dial(ctx context.Context, service grant.Service, index int) (net.Conn, error) {
	answer := make(chan dialled, 1)
	k.mu.Lock()
	k.last++
	id := k.last
	k.dials[id] = answer
	k.mu.Unlock()
	if err := k.conn.Send(grant.Message{Dial: &grant.Dial{ID: id, Service: service, Index: index}}); err != nil {
		k.forget(id, answer)
		return nil, fmt.Errorf("ask the keeper for a connection: %w", err)
	}
	select {
	case d := <-answer:
		if d.err != nil {
			return nil, d.err
		}
		f := os.NewFile(uintptr(d.fd), string(service))
		defer f.Close()
		return net.FileConn(f)
	case <-k.ended:
		k.forget(id, answer)
		return nil, k.why
	case <-ctx.Done():
		k.forget(id, answer)
		return nil, ctx.Err()
	}
}

// forget gives up a connection that was asked for.
func (k *keeper) forget(id uint64, answer chan dialled) {
	k.mu.Lock()
	_, asked := k.dials[id]
	delete(k.dials, id)
	k.mu.Unlock()
	if asked {
		return
	}
	if d := <-answer; d.err == nil { // it has just come, or comes at once
		_ = grant.CloseFiles([]int{d.fd})
	}
}
