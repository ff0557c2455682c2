package podnet

import (
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"
)

// The kernel releases the nftables table of a process that was killed a moment after its lock.
const (
	adoptAttempts = 50
	adoptPause    = 10 * time.Millisecond
)

// Adopt returns the Taken of a process that was killed, made from the state file in dir: the addresses stay off the interface, and this
// process silences the kernel. The caller holds the Lock of dir. Adopt returns nil if there is no state file, if the file describes another
// interface or boot, or if the interface has an address. The caller then calls RestoreLocked.
//
// The kernel is silent about the addresses also between the end of the first process and Adopt: it answers neither ARP nor IP for an
// address that no interface has, as long as no route leads to it.
func Adopt(dir string, log *zap.Logger) (*Taken, error) {
	return adoptWithHooks(dir, log, testHooks{})
}

func adoptWithHooks(dir string, log *zap.Logger, hooks testHooks) (*Taken, error) {
	here, err := currentNamespace()
	if err != nil {
		return nil, err
	}
	if _, err := claimStateFile(dir, here); err != nil {
		return nil, nil // RestoreLocked reports why
	}
	record, err := readRecord(dir)
	if err != nil || here.rebootedSince(record.Pod.Namespace) || !here.matches(record.Pod.Namespace) || len(record.Sysctls) > 0 {
		return nil, nil // with sysctls, other values than those of the record may be right by now
	}
	conn, err := openRtnetlink()
	if err != nil {
		return nil, err
	}
	tx := &transaction{conn: conn, dir: dir, record: record, removing: true, log: log, hooks: hooks}
	if !tx.isTaken() || tx.adoptSilence() != nil || tx.joinGroup() != nil {
		conn.close()
		return nil, nil
	}
	tx.indexIsCertain = true // from now on, this process follows the link
	return &Taken{tx: tx, id: record.Pod}, nil
}

// isTaken reports whether the recorded link exists and has none of the addresses that Take removes.
func (t *transaction) isTaken() bool {
	if t.identifyLink() != nil {
		return false
	}
	pod := t.record.Pod
	for _, f := range pod.takenFamilies() {
		left, err := t.conn.addresses(f, pod.Link.Index)
		if err != nil || slices.ContainsFunc(left, func(a Address) bool { return f == IPv4 || slices.ContainsFunc(pod.Addresses, a.same) }) {
			return false
		}
	}
	return true
}

// adoptSilence silences the kernel as soon as the table of the process before this one is gone.
func (t *transaction) adoptSilence() (err error) {
	for range adoptAttempts {
		if err = t.silenceKernel(); !errors.Is(err, ErrTaken) {
			return err
		}
		time.Sleep(adoptPause)
	}
	return err
}
