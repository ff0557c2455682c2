package dataplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/tap"
)

// ErrKeeperEnded means that the keeper process ended, or closed the session.
var ErrKeeperEnded = errors.New("the keeper has ended")

// A session is the switch's side of the connection with its keeper. One goroutine reads the messages and passes each on: Opened to
// open, Dialled to dial, and every other message as a command.
type session struct {
	conn     *grant.Conn
	commands chan command  // in the order of arrival
	ended    chan struct{} // closed after the last message
	cause    error         // why the session ended; set before ended is closed

	drops *tap.LinkDrops // opened before the switch enters its sandbox; nil: there are no such counters
	merge tap.Merging    // as the keeper has found out

	keeper int               // process id of the keeper; 0: this process cannot see it, as in another container
	opened []chan openedPort // by port number; each holds the newest descriptor

	mu       sync.Mutex                 // guards the following
	dials    map[uint64]chan dialResult // by ID
	lastDial uint64
}

// A command is a message that answers no request, with its descriptors, which belong to the receiver of the command.
type command struct {
	grant.Message
	files []int
}

// An openedPort is a port's descriptor with the keeper's description of it.
type openedPort struct {
	grant.Opened
	fd int
}

// newSession sends hello and waits for the grant. It returns the grant and the listening control socket with the session.
func newSession(ctx context.Context, cfg *Config) (*session, *grant.Grant, *os.File, error) {
	m, files, err := greet(ctx, cfg)
	switch {
	case err != nil:
		return nil, nil, nil, errors.Join(err, grant.CloseFiles(files))
	case m.Grant == nil || len(files) != 1:
		return nil, nil, nil, errors.Join(errors.New("the keeper did not answer with a grant and a control socket"), grant.CloseFiles(files))
	}
	conn := cfg.Conn
	s := &session{conn: conn, commands: make(chan command, 16), ended: make(chan struct{}), dials: map[uint64]chan dialResult{},
		merge: tap.MergeDatagrams}
	if m.Grant.NoMergeUDP {
		s.merge = tap.MergeSegments
	}
	if m.Grant.NoMerge {
		s.merge = tap.MergeNothing
	}
	for range m.Grant.Ports {
		s.opened = append(s.opened, make(chan openedPort, 1))
	}
	if s.keeper = m.Grant.Keeper; conn.IsForeign() {
		s.keeper = 0
	}
	go s.receive()
	return s, m.Grant, os.NewFile(uintptr(files[0]), "control socket"), nil
}

// receive reads messages until the session ends.
func (s *session) receive() {
	defer close(s.ended)
	for s.cause == nil {
		m, files, err := s.conn.Receive()
		switch {
		case err != nil:
			s.cause = ErrKeeperEnded
		case m.Opened != nil:
			s.putOpened(m.Opened, files)
		case m.Dialled != nil:
			s.putDialled(m.Dialled, files)
		case m.Fault != nil:
			s.cause = m.Fault
		case m.Begin == nil: // no other command carries descriptors
			_ = grant.CloseFiles(files)
			s.commands <- command{Message: m}
		default:
			s.commands <- command{m, files}
		}
	}
}

// close ends the session, waits for receive, and closes the descriptors that no caller has received.
func (s *session) close() {
	s.conn.Close()
	if s.drops != nil {
		_ = s.drops.Close()
	}
	for receiving := true; receiving; {
		select {
		case c := <-s.commands:
			_ = grant.CloseFiles(c.files)
		case <-s.ended:
			receiving = false
		}
	}
	for len(s.commands) > 0 {
		_ = grant.CloseFiles((<-s.commands).files)
	}
	for _, c := range s.opened {
		if len(c) > 0 {
			_ = grant.CloseFiles([]int{(<-c).fd})
		}
	}
}

// putOpened stores a port's descriptor for open, in place of an older one.
func (s *session) putOpened(o *grant.Opened, files []int) {
	if o.Port < 0 || o.Port >= len(s.opened) || len(files) != 1 {
		_ = grant.CloseFiles(files)
		return
	}
	select {
	case old := <-s.opened[o.Port]:
		_ = grant.CloseFiles([]int{old.fd})
	default:
	}
	s.opened[o.Port] <- openedPort{*o, files[0]}
}

// isOpened reports whether the port's descriptor has arrived.
func (s *session) isOpened(port int) bool { return len(s.opened[port]) > 0 }

// open waits for the port's descriptor, which then belongs to the caller.
func (s *session) open(ctx context.Context, port int) (openedPort, error) {
	select {
	case o := <-s.opened[port]:
		return o, nil
	case <-s.ended:
		return openedPort{}, s.cause
	case <-ctx.Done():
		return openedPort{}, ctx.Err()
	}
}

// reopen asks the keeper for a port whose device was lost, and waits for it. It sends no request if a descriptor has arrived
// already, in answer to a request of the switch before this one.
func (s *session) reopen(ctx context.Context, port int) (openedPort, error) {
	if s.isOpened(port) {
		return s.open(ctx, port)
	}
	if err := s.conn.Send(grant.Message{Reopen: &grant.Reopen{Port: port}}); err != nil {
		return openedPort{}, fmt.Errorf("ask the keeper for a port: %w", err)
	}
	return s.open(ctx, port)
}
