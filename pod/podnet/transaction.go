package podnet

import (
	"errors"
	"fmt"
	"io"

	"go.uber.org/zap"
)

// A transaction moves the addresses of one link off the interface (take.go) or back (giveback.go). After any error the state file tells
// another transaction where to continue.
type transaction struct {
	conn           *rtnetlink
	dir            string  // state directory
	record         *record // the content of the state file
	silence        io.Closer
	group          io.Closer   // membership of the IPv6 address's solicited-node group; nil without one
	removing       bool        // an address may have been removed
	indexIsCertain bool        // the recorded index belongs to the recorded link: the namespace is certainly the recorded one
	others         othersState // what follow has found last
	log            *zap.Logger
	hooks          testHooks

	// Set by giveBack:
	linkName string   // the present name of the link
	lost     []string // what giveBack could not restore, for a reason outside the link
}

// testHooks let tests replace and interrupt the steps of a transaction. The zero value does neither.
type testHooks struct {
	silence   func(*Identity) (io.Closer, error) // replaces silenceTaken
	afterStep func(step string)
}

// stepDone marks the end of a step after which a crash test may kill the process.
func (t *transaction) stepDone(step string) {
	if t.hooks.afterStep != nil {
		t.hooks.afterStep(step)
	}
}

// endSilence lets the kernel answer again, and leaves the group to it. It does nothing if the transaction has no nftables table.
func (t *transaction) endSilence() error {
	if t.silence == nil {
		return nil
	}
	err := t.silence.Close()
	t.silence = nil
	if t.group != nil {
		err = errors.Join(err, t.group.Close())
		t.group = nil
	}
	t.stepDone("end the silence")
	return explain("end the silence of the pod's kernel", err)
}

// rollBack undoes a take that failed. Before the removal of the first address, it restores only what this transaction has changed: if
// another podswitch has taken the addresses since, they must not be restored here.
func (t *transaction) rollBack() error {
	if t.removing {
		return t.giveBack()
	}
	err := errors.Join(restoreSysctls(t.record.Pod.Link.Name, t.record.Sysctls), t.endSilence())
	if err != nil {
		return err
	}
	return removeRecord(t.dir)
}

// reportLost notes something that giveBack does not restore. It does not prevent the end of the transaction.
func (t *transaction) reportLost(format string, args ...any) {
	object := fmt.Sprintf(format, args...)
	t.log.Warn("not restored", zap.String("object", object))
	t.lost = append(t.lost, object)
}

// lostOr notes the loss of what an error is about, if the reason will not pass. It returns any other error.
func (t *transaction) lostOr(err error) error {
	if !isLasting(err) {
		return err
	}
	t.reportLost("%v", err)
	return nil
}
