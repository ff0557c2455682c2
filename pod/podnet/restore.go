package podnet

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"go.uber.org/zap"
)

// Restore puts back what a run left in dir that ended without giving back, as Recover does, for a process that does not hold the Lock
// of dir. Its text is never empty: it says also that there was nothing to restore. While a running podswitch holds the lock, the error
// is a *missing.Error that names that process and wraps ErrLocked. A state file of another network namespace is refused with
// ErrForeignState, unless one of this namespace was set aside for it.
func Restore(dir string) (string, error) {
	nothing := "nothing to restore: no state file in " + dir
	here, err := namespace()
	if err != nil {
		return "", err
	}
	switch exists, err := stateExists(dir); {
	case err != nil:
		return "", err
	case !exists && !isAside(dir, here):
		return nothing, nil
	}
	lock, err := Lock(dir)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if isAside(dir, here) {
		if _, err := claim(dir, here); err != nil {
			return "", err
		}
	}
	text, err := recoverState(dir, steps{})
	if text == "" && err == nil {
		text = nothing // the other podswitch gave back just now
	}
	return text, err
}

// Recover puts back what a run left that ended without giving back: killed, or with the machine. The caller holds the
// Lock of dir. It returns what it did, for people, without a final newline; without a state file there is nothing to do,
// no text and no error. A state file of another network namespace is set aside, where the kernel can tell them apart (Linux 5.14): the
// directory may have outlived it. It refuses with ErrForeignState when the state file belongs to another interface, and
// with ErrTaken when a podswitch with another state directory holds the address now. With ErrLinkGone the state file has been removed.
// That a file was set aside, the text says beside an error, too.
func Recover(dir string) (string, error) {
	here, err := namespace()
	if err != nil {
		return "", err
	}
	aside, err := claim(dir, here)
	if err != nil {
		return "", err
	}
	text, err := recoverState(dir, steps{})
	if aside != "" {
		text = strings.TrimPrefix(text+"; what is about another network namespace is kept in "+aside, "; ")
	}
	return text, err
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
	if err := record.isFor(here, statePath(dir)); err != nil {
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
	here, err := namespace()
	if err != nil {
		return nil, err
	}
	path := statePath(dir)
	record, err := readRecordAt(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && here.apart(record.Pod.Namespace) {
		path = asidePath(dir, here)
		record, err = readRecordAt(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil || here.earlierBoot(record.Pod.Namespace) {
		return nil, err
	}
	if err := record.isFor(here, path); err != nil {
		return nil, err
	}
	return record.Pod, nil
}

// isFor checks that the record, which is at path, is of this namespace, and that nobody holds the address now.
func (r *record) isFor(here Namespace, path string) error {
	if !here.same(r.Pod.Namespace) {
		return fmt.Errorf("%w: %s is about network namespace %d and this is %d; "+
			"restore there, or remove the file if that namespace is gone",
			ErrForeignState, path, r.Pod.Namespace.Inode, here.Inode)
	}
	return checkNotTaken(r.Pod.Link)
}
