package podnet

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// Restore does what RestoreLocked does, for a process that does not hold the Lock of dir. The report is never empty: it also says that nothing
// had to be restored. While a running podswitch holds the lock, the error is a *missing.Error that names the process and wraps ErrLocked.
// Restore refuses the state file of another network namespace with ErrForeignState, unless one of this namespace is set aside.
func Restore(dir string) (report string, err error) {
	nothing := "nothing to restore: no state file in " + dir
	here, err := currentNamespace()
	if err != nil {
		return "", err
	}
	switch exists, err := stateExists(dir); {
	case err != nil:
		return "", err
	case !exists && !isSetAside(dir, here):
		return nothing, nil
	}
	lock, err := Lock(dir)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if isSetAside(dir, here) {
		if _, err := claimStateFile(dir, here); err != nil {
			return "", err
		}
	}
	report, err = restoreState(dir, testHooks{})
	if report == "" && err == nil {
		report = nothing // the other podswitch gave back before it released the lock
	}
	return report, err
}

// RestoreLocked restores the interface that the state file in dir describes, after a process that ended without giving back. The caller holds the
// Lock of dir. The report is text for a user, without a final newline, and empty if there was nothing to do.
//
// RestoreLocked removes the state file also if the addresses are restored and something else cannot be, because the caller would otherwise not
// be able to take the addresses. The report says what.
//
// If the state file describes another network namespace and the kernel can tell namespaces apart (Linux 5.14), RestoreLocked sets it aside; the
// report says so even if err is not nil. The error wraps ErrForeignState if the state file describes another interface, ErrTaken if a
// podswitch with another state directory has the address, and ErrLinkGone if the interface is gone. In the last case RestoreLocked has removed
// the state file.
func RestoreLocked(dir string) (report string, err error) { return restoreWithHooks(dir, testHooks{}) }

func restoreWithHooks(dir string, hooks testHooks) (report string, err error) {
	here, err := currentNamespace()
	if err != nil {
		return "", err
	}
	aside, err := claimStateFile(dir, here)
	if err != nil {
		return "", err
	}
	report, err = restoreState(dir, hooks)
	if err != nil {
		report, err = giveUp(dir, err)
	}
	if aside != "" {
		report = strings.TrimPrefix(report+"; the state file of another network namespace is kept in "+aside, "; ")
	}
	return report, err
}

func restoreState(dir string, hooks testHooks) (report string, err error) {
	record, err := readRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	here, err := currentNamespace()
	if err != nil {
		return "", err
	}
	if here.rebootedSince(record.Pod.Namespace) {
		return fmt.Sprintf("removed %s, which is older than the last boot", statePath(dir)), removeRecord(dir)
	}
	if err := record.checkRestorable(here, statePath(dir)); err != nil {
		return "", err
	}
	conn, err := openRtnetlink()
	if err != nil {
		return "", err
	}
	defer conn.close()
	tx := &transaction{conn: conn, dir: dir, record: record, log: zap.NewNop(), hooks: hooks,
		indexIsCertain: here.isCertainly(record.Pod.Namespace)}
	if err := tx.giveBack(); err != nil {
		return "", err
	}
	return tx.report(), nil
}

// giveUp removes the state file after the error failed of restoreState, if the link has all recorded addresses: the rest must not
// keep another podswitch from taking them. The report lists the rest. Otherwise giveUp returns failed.
func giveUp(dir string, failed error) (report string, err error) {
	if isForeign := errors.Is(failed, ErrForeignState); isForeign || errors.Is(failed, ErrTaken) || errors.Is(failed, ErrLinkGone) {
		return "", failed
	}
	record, err := readRecord(dir)
	if err != nil {
		return "", failed
	}
	if complete, err := record.hasAddresses(); err != nil || !complete {
		return "", failed
	}
	if err := removeRecord(dir); err != nil {
		return "", errors.Join(failed, err)
	}
	return fmt.Sprintf("the addresses of %s are restored, and the state file is removed; not restored: %v", record.Pod.Link.Name, failed), nil
}

// hasAddresses reports whether the link has all recorded addresses that have not expired.
func (r *record) hasAddresses() (bool, error) {
	conn, err := openRtnetlink()
	if err != nil {
		return false, err
	}
	defer conn.close()
	var have []Address
	for _, f := range r.Pod.takenFamilies() {
		list, err := conn.addresses(f, r.Pod.Link.Index)
		if err != nil {
			return false, err
		}
		have = append(have, list...)
	}
	return !slices.ContainsFunc(r.Pod.Addresses, func(a Address) bool {
		_, alive := a.aged(uptime() - r.Uptime)
		return alive && !slices.ContainsFunc(have, a.same)
	}), nil
}

// report describes what giveBack has restored.
func (t *transaction) report() string {
	pod := t.record.Pod
	name := pod.Link.Name
	if t.linkName != name {
		name += ", now " + t.linkName + ","
	}
	text := fmt.Sprintf("%s is restored: %s, %s, %s", name, count(len(pod.Addresses), "address", "addresses"),
		count(len(pod.Routes), "route", "routes"), count(len(pod.Neighbours), "neighbour", "neighbours"))
	if len(t.lost) > 0 {
		text += "; not restored: " + strings.Join(t.lost, "; ")
	}
	return text
}

func count(n int, singular, plural string) string {
	if n == 1 {
		return "1 " + singular
	}
	return fmt.Sprintf("%d %s", n, plural)
}

// Pending returns the identity that RestoreLocked would restore from dir, or nil if there is none. The errors are those of RestoreLocked, except
// ErrLinkGone; with ErrTaken it returns the identity too, which is that of a running podswitch. It changes nothing.
func Pending(dir string) (*Identity, error) {
	here, err := currentNamespace()
	if err != nil {
		return nil, err
	}
	path := statePath(dir)
	record, err := readRecordAt(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && here.differsFrom(record.Pod.Namespace) {
		path = asidePath(dir, here)
		record, err = readRecordAt(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil || here.rebootedSince(record.Pod.Namespace) {
		return nil, err
	}
	err = record.checkRestorable(here, path)
	if err != nil && !errors.Is(err, ErrTaken) {
		return nil, err
	}
	return record.Pod, err
}

// checkRestorable checks that the record, read from path, describes this namespace, and that no running podswitch has the address.
func (r *record) checkRestorable(here Namespace, path string) error {
	if !here.matches(r.Pod.Namespace) {
		return fmt.Errorf("%w: %s describes network namespace %d and this is %d "+
			"(restore in that namespace, or remove the file if it is gone)",
			ErrForeignState, path, r.Pod.Namespace.Inode, here.Inode)
	}
	return checkNotTaken(r.Pod.Link)
}
