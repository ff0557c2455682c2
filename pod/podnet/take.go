package podnet

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.uber.org/zap"
)

// A Taken represents the state in which this process has taken the pod's addresses: they are off the pod interface, the pod's kernel is
// silent there, and the state file has the identity. Its methods may be called from any goroutine.
type Taken struct {
	mu      sync.Mutex   // guards the following
	tx      *transaction // nil after everything is restored
	isGiven bool         // GiveBack was called: the addresses belong on the interface
	id      *Identity
}

// Take removes the addresses of id from the pod interface, after it has written the state file into dir. The caller holds the Lock of dir
// and has called RestoreLocked. Take reads the identity again for the state file, and fails if the link or the addresses differ from id. A nil
// log discards messages.
//
// After an error, the interface is as before, except after a TakeError. The error wraps ErrTaken if another podswitch has the address, and ErrStateExists if dir has
// a state file. It is a *missing.Error if a privilege or a kernel feature is missing.
func Take(id *Identity, dir string, log *zap.Logger) (*Taken, error) {
	return takeWithHooks(id, dir, log, testHooks{})
}

// A TakeError is the error of a Take that could not undo its steps: the interface is not as before, until the state file is restored from.
type TakeError struct {
	Err  error // why the address cannot be taken
	Undo error // why the steps before could not be undone
}

// Error returns both reasons.
func (e *TakeError) Error() string {
	return fmt.Sprintf("%v\nundo the steps before: %v", e.Err, e.Undo)
}

// Unwrap returns both reasons.
func (e *TakeError) Unwrap() []error { return []error{e.Err, e.Undo} }

func takeWithHooks(id *Identity, dir string, log *zap.Logger, hooks testHooks) (*Taken, error) {
	if log == nil {
		log = zap.NewNop()
	}
	if exists, err := stateExists(dir); err != nil {
		return nil, err
	} else if exists {
		return nil, fmt.Errorf("take the address of %s: %w: %s (run podswitch restore)", id.Link.Name, ErrStateExists, statePath(dir))
	}
	conn, err := openRtnetlink()
	if err != nil {
		return nil, err
	}
	now, err := readUnchanged(conn, id)
	if err != nil {
		conn.close()
		return nil, err
	}
	tx := &transaction{conn: conn, dir: dir, record: newRecord(now), indexIsCertain: true, log: log, hooks: hooks}
	if err := tx.take(); err != nil {
		if failed := tx.rollBack(); failed != nil {
			err = &TakeError{Err: err, Undo: failed}
		}
		conn.close()
		return nil, err
	}
	return &Taken{tx: tx, id: now}, nil
}

// readUnchanged reads the identity again. It returns an error if the link or the addresses differ from those that the caller knows.
func readUnchanged(conn *rtnetlink, known *Identity) (*Identity, error) {
	now, err := readIdentity(conn, known.Link.Name, known.families)
	if err == nil {
		err = checkNotTaken(now.Link)
	}
	switch {
	case err != nil:
		return nil, err
	case now.Link != known.Link || !now.Namespace.matches(known.Namespace):
		return nil, fmt.Errorf("%s has changed since its identity was read: from %+v to %+v", known.Link.Name, known.Link, now.Link)
	case !slices.EqualFunc(now.Addresses, known.Addresses, Address.same):
		return nil, fmt.Errorf("the addresses of %s have changed since its identity was read: from %v to %v",
			known.Link.Name, known.Addresses, now.Addresses)
	case len(now.Addresses) == 0:
		return nil, fmt.Errorf("%s has no address to take", known.Link.Name)
	}
	return now, nil
}

// take performs the steps of Take. After an error the caller rolls them back.
func (t *transaction) take() error {
	if err := t.awaitIPv6(); err != nil {
		return err
	}
	if err := writeRecord(t.dir, t.record); err != nil {
		return err
	}
	t.stepDone("write the state file")
	if err := t.silenceKernel(); err != nil {
		return err
	}
	t.stepDone("silence the kernel")
	if err := t.joinGroup(); err != nil {
		return err
	}
	return t.removeAddresses()
}

// removeAddresses removes the recorded addresses, the last one first: secondary addresses follow their primary one, and the removal of a
// primary address would remove or promote them (promote_secondaries in Documentation/networking/ip-sysctl.rst). After a crash, the
// interface has the beginning of the list, which restoreAddresses completes without removing anything.
func (t *transaction) removeAddresses() error {
	t.removing = true
	link := t.record.Pod.Link
	for _, a := range slices.Backward(t.record.Pod.Addresses) {
		if err := t.conn.removeAddress(link.Index, a); err != nil {
			return err
		}
		t.stepDone("remove an address")
	}
	left, err := t.conn.addresses(IPv4, link.Index)
	if err == nil && len(left) > 0 && len(only(IPv4, t.record.Pod.Addresses)) > 0 {
		err = fmt.Errorf("another program added the addresses %v to %s during the removal", left, link.Name)
	}
	return err
}

// joinGroup keeps what an MLD querier knows of the IPv6 address. Without it, the take goes on: most bridges have no querier.
func (t *transaction) joinGroup() (err error) {
	t.group, err = joinGroup(t.record.Pod)
	if err != nil {
		t.log.Warn("a bridge with an MLD querier may lose the pod", zap.Error(err))
		err = nil
	}
	return err
}

// silenceKernel makes the kernel silent on the link: by nftables, or else by sysctls, which it adds to the state file before.
func (t *transaction) silenceKernel() error {
	link := t.record.Pod.Link
	silence := t.hooks.silence
	if silence == nil {
		silence = silenceTaken
	}
	var err error
	t.silence, err = silence(t.record.Pod)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrTaken):
		return err
	case isDenied(err):
		return explain("silence the pod's kernel on "+link.Name, err)
	}
	t.log.Warn("nf_tables lacks the netdev family: silencing the pod's kernel by sysctls, which is weaker",
		zap.String("interface", link.Name), zap.Error(err))
	change, err := sysctlsToChange(link.Name)
	if err != nil || len(change) == 0 {
		return err
	}
	t.record.Sysctls = change
	if err := writeRecord(t.dir, t.record); err != nil {
		return err
	}
	t.stepDone("record the sysctls")
	return silenceBySysctls(link.Name, change)
}

// Identity returns the identity that the state file records: that of the moment of Take, with what Follow has found since. The caller must
// not change it.
func (taken *Taken) Identity() *Identity {
	taken.mu.Lock()
	defer taken.mu.Unlock()
	return taken.id
}

// GiveBack restores the pod interface, ends the silence of the kernel and removes the state file. Concurrent calls wait for each other,
// and a call after everything is restored does nothing. After an error the state file still exists, and GiveBack, or Restore in another
// process, tries again. Only ErrLinkGone is final.
func (taken *Taken) GiveBack() error {
	taken.mu.Lock()
	defer taken.mu.Unlock()
	if taken.tx == nil {
		return nil
	}
	taken.isGiven = true
	err := taken.tx.giveBack()
	if err == nil || errors.Is(err, ErrLinkGone) {
		taken.tx.conn.close()
		taken.tx = nil
	}
	return err
}
