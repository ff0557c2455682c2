package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/podswitch/podswitch/pod/grant"
)

// A dialResult is the keeper's answer to a Dial: a connected socket or an error.
type dialResult struct {
	fd  int
	err error
}

// dial asks the keeper for a connection to a target of the plan: the one with this index among those of the service.
func (s *session) dial(ctx context.Context, service grant.Service, index int) (net.Conn, error) {
	answer := make(chan dialResult, 1)
	s.mu.Lock()
	s.lastDial++
	id := s.lastDial
	s.dials[id] = answer
	s.mu.Unlock()
	if err := s.conn.Send(grant.Message{Dial: &grant.Dial{ID: id, Service: service, Index: index}}); err != nil {
		s.cancelDial(id, answer)
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
	case <-s.ended:
		s.cancelDial(id, answer)
		return nil, s.cause
	case <-ctx.Done():
		s.cancelDial(id, answer)
		return nil, ctx.Err()
	}
}

// putDialled passes an answer to the dial that waits for it. A dial that was cancelled no longer does.
func (s *session) putDialled(d *grant.Dialled, files []int) {
	s.mu.Lock()
	answer := s.dials[d.ID]
	delete(s.dials, d.ID)
	s.mu.Unlock()
	switch {
	case answer == nil:
		_ = grant.CloseFiles(files)
	case d.Err != "":
		_ = grant.CloseFiles(files)
		answer <- dialResult{-1, errors.New(d.Err)}
	case len(files) != 1:
		_ = grant.CloseFiles(files)
		answer <- dialResult{-1, fmt.Errorf("the keeper has connected, and passes %d descriptors on: want 1", len(files))}
	default:
		answer <- dialResult{files[0], nil}
	}
}

// cancelDial makes putDialled discard the answer. If putDialled has removed the dial from the table already, its answer is in the
// channel or will be immediately, and cancelDial closes the descriptor.
func (s *session) cancelDial(id uint64, answer chan dialResult) {
	s.mu.Lock()
	_, pending := s.dials[id]
	delete(s.dials, id)
	s.mu.Unlock()
	if pending {
		return
	}
	if d := <-answer; d.err == nil {
		_ = grant.CloseFiles([]int{d.fd})
	}
}
