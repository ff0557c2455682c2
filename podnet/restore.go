package podnet

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"go.uber.org/zap"
)

// Restore is Recover for a process that does not hold the Lock of dir. Its text is never empty: it says also that there
// was nothing to restore. While a running podswitch holds the lock, the error is a *missing.Error that names that process
// and wraps ErrLocked.
func Restore(dir string) (string, error) {
	nothing := "nothing to restore: no state file in " + dir
	switch exists, err := stateExists(dir); {
	case err != nil:
		return "", err
	case !exists:
		return nothing, nil
	}
	lock, err := Lock(dir)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	text, err := Recover(dir)
	if text == "" && err == nil {
		text = nothing // the other podswitch gave back just now
	}
	return text, err
}

// Recover puts back what a run left that ended without giving back: killed, or with the machine. The caller holds the
// Lock of dir. It returns what it did, for people, without a final newline; without a state file there is nothing to do,
// no text and no error. It refuses with ErrForeignState when the state file belongs to another network namespace or
// another interface, and with ErrTaken when a podswitch with another state directory holds the address now. With
// ErrLinkGone the state file has been removed.
func Recover(dir string) (string, error) {
	return recoverState(dir, steps{})
}

func recoverState(dir string, hooks steps) (string, error) {
	record, err := readRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	here, err := namespace()
	if err != nil {
		return "", err
	}
	if here.earlierBoot(record.Pod.Namespace) {
		return fmt.Sprintf("%s was from before the last boot and is removed", statePath(dir)), removeRecord(dir)
	}
	if err := record.isFor(here, dir); err != nil {
		return "", err
	}
	conn, err := openRtnetlink()
	if err != nil {
		return "", err
	}
	defer conn.close()
	r := &restorer{conn: conn, dir: dir, record: record, log: zap.NewNop(), hooks: hooks}
	if err := r.giveBack(); err != nil {
		return "", err
	}
	return r.report(), nil
}

// report says what came back.
func (r *restorer) report() string {
	pod := r.record.Pod
	text := fmt.Sprintf("%s is as it was: %s, %s, %s", pod.Link.Name, count(len(pod.Addresses), "address", "addresses"),
		count(len(pod.Routes), "route", "routes"), count(len(pod.Neighbours), "neighbour", "neighbours"))
	if len(r.lost) > 0 {
		text += "; not put back: " + strings.Join(r.lost, "; ")
	}
	return text
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Pending returns the identity that an earlier run recorded in dir and that Recover would put back, or nil when there is none.
// The errors are those of Recover, but for ErrLinkGone.
func Pending(dir string) (*Identity, error) {
	record, err := readRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	here, err := namespace()
	if err != nil || here.earlierBoot(record.Pod.Namespace) {
		return nil, err
	}
	if err := record.isFor(here, dir); err != nil {
		return nil, err
	}
	return record.Pod, nil
}

// isFor checks that the record is of this namespace, and that nobody holds the address now.
func (r *record) isFor(here Namespace, dir string) error {
	if !here.same(r.Pod.Namespace) {
		return fmt.Errorf("%w: %s is about network namespace %d and this is %d; "+
			"restore there, or remove the file if that namespace is gone",
			ErrForeignState, statePath(dir), r.Pod.Namespace.Inode, here.Inode)
	}
	return checkNotTaken(r.Pod.Link)
}
