package podnet

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"go.uber.org/zap"
)

// A Holding is the pod's IPv4 addresses in our hands: they are off the pod interface, the pod's kernel is silent there,
// and the state file says how it was.
type Holding struct {
	mu sync.Mutex // one giving back at a time; guards the following field
	r  *restorer  // nil once everything is back
	id *Identity
}

// steps are the points at which tests interfere. The zero value is what production uses.
type steps struct {
	fence func(Link) (io.Closer, error) // instead of raiseFence
	after func(step string)             // called after each step
}

func (s steps) done(step string) {
	if s.after != nil {
		s.after(step)
	}
}

// Take takes all IPv4 addresses off the pod interface, after writing the state file into dir. The caller holds the Lock
// of dir and has called Recover. The identity is read anew for the state file; Take refuses when the link or the
// addresses are no longer as id says.
//
// On any error everything is as before. Errors wrap ErrTaken when another podswitch has the address, ErrStateExists when
// dir has a state file, and are a *missing.Error when a privilege or a kernel feature is missing.
func Take(id *Identity, dir string, log *zap.Logger) (*Holding, error) {
	return take(id, dir, log, steps{})
}

func take(id *Identity, dir string, log *zap.Logger, hooks steps) (*Holding, error) {
	if log == nil {
		log = zap.NewNop()
	}
	exists, err := stateExists(dir)
	if err != nil {
		return nil, err
	}
	if exists {
		return nil, fmt.Errorf("take the address of %s: %w: %s; run podswitch restore", id.Link.Name, ErrStateExists, statePath(dir))
	}
	conn, err := openRtnetlink()
	if err != nil {
		return nil, err
	}
	now, err := unchanged(conn, id)
	if err != nil {
		conn.close()
		return nil, err
	}
	r := &restorer{conn: conn, dir: dir, record: newRecord(now), holds: true, log: log, hooks: hooks}
	if err := r.take(); err != nil {
		undo := r.undo()
		conn.close()
		if undo != nil {
			return nil, errors.Join(err, fmt.Errorf("and then undo what was done: %w", undo))
		}
		return nil, err
	}
	return &Holding{r: r, id: now}, nil
}

// undo ends a take that failed. Before the first address is touched only our own doings are withdrawn: if another
// podswitch has the address, the interface is not ours to restore.
func (r *restorer) undo() error {
	if r.touched {
		return r.giveBack()
	}
	err := errors.Join(restoreSysctls(r.record.Pod.Link.Name, r.record.Sysctls), r.lowerFence())
	if err != nil {
		return err
	}
	return removeRecord(r.dir)
}

// unchanged reads the identity again and compares what the caller has built upon.
func unchanged(conn *rtnetlink, id *Identity) (*Identity, error) {
	now, err := discover(conn, id.Link.Name)
	if err == nil {
		err = checkNotTaken(now.Link)
	}
	switch {
	case err != nil:
		return nil, err
	case now.Link != id.Link || !now.Namespace.same(id.Namespace):
		return nil, fmt.Errorf("%s has changed since it was looked at: it was %+v and is %+v", id.Link.Name, id.Link, now.Link)
	case !slices.EqualFunc(now.Addresses, id.Addresses, Address.same):
		return nil, fmt.Errorf("the addresses of %s have changed since it was looked at: they were %v and are %v",
			id.Link.Name, id.Addresses, now.Addresses)
	case len(now.Addresses) == 0:
		return nil, fmt.Errorf("%s has no IPv4 address to take", id.Link.Name)
	}
	return now, nil
}

// take does the work of Take and leaves it where an error stopped it.
func (r *restorer) take() error {
	if err := writeRecord(r.dir, r.record); err != nil {
		return err
	}
	r.hooks.done("write the state file")
	if err := r.silence(); err != nil {
		return err
	}
	r.hooks.done("silence the kernel")
	r.touched = true
	link := r.record.Pod.Link
	// Backwards, so that removing a primary address neither removes nor promotes a secondary one, and so that what is left
	// after a crash is the beginning of the list.
	for _, a := range slices.Backward(r.record.Pod.Addresses) {
		if err := r.conn.removeAddress(link.Index, a); err != nil {
			return err
		}
		r.hooks.done("remove an address")
	}
	left, err := r.conn.addresses(link.Index)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s got the addresses %v while its own were being removed", link.Name, left)
	}
	return err
}

// silence stops the kernel from answering on the link: by nftables, or else by sysctls, which are recorded first.
func (r *restorer) silence() error {
	link := r.record.Pod.Link
	raise := r.hooks.fence
	if raise == nil {
		raise = raiseFence
	}
	fence, err := raise(link)
	switch {
	case err == nil:
		r.fence = fence
		return nil
	case errors.Is(err, ErrTaken):
		return err
	case denied(err):
		return explain("silence the pod's kernel on "+link.Name, err)
	}
	r.log.Warn("no nf_tables for the netdev family: silencing the kernel by sysctls, which do less",
		zap.String("interface", link.Name), zap.Error(err))
	change, err := sysctlsToChange(link.Name)
	if err != nil || len(change) == 0 {
		return err
	}
	r.record.Sysctls = change
	if err := writeRecord(r.dir, r.record); err != nil {
		return err
	}
	r.hooks.done("record the sysctls")
	return silence(link.Name, change)
}

// Identity returns what the state file says: the identity at the moment of taking.
func (h *Holding) Identity() *Identity { return h.id }

// GiveBack puts the pod interface back as it was, lets the kernel speak again and removes the state file. It may be
// called again and from several goroutines: one works, the others wait, and once everything is back it does nothing.
// After an error the state file is still there and GiveBack, or Restore in another process, tries again; only with
// ErrLinkGone there is nothing left to do.
func (h *Holding) GiveBack() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.r == nil {
		return nil
	}
	err := h.r.giveBack()
	if err == nil || errors.Is(err, ErrLinkGone) {
		h.r.conn.close()
		h.r = nil
	}
	return err
}
