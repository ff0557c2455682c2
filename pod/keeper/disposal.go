package keeper

import (
	"sync"

	"github.com/podswitch/podswitch/pod/grant"
)

// maxDisposals bounds the descriptors that wait for their end. A session that exceeds it ends.
const maxDisposals = 256

// A disposal closes descriptors that a switch has passed, or of which it has a copy, in a goroutine of its own. close(2) may take as long as
// a switch likes, for example of a file of its own file system (FUSE). Neither the loop nor a goroutine that reads or writes a session may
// wait for that, and each session has a disposal of its own, so that none waits for those of another. The zero value is ready to use.
type disposal struct {
	mu      sync.Mutex // guards the following
	waiting []int
	ended   chan struct{} // closed at the end of run; nil: run does not run
}

// add closes descriptors soon, and reports whether too many are waiting. It does not block.
func (d *disposal) add(files []int) (tooMany bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, files...)
	if len(d.waiting) > 0 && d.ended == nil {
		d.ended = make(chan struct{})
		go d.run()
	}
	return len(d.waiting) > maxDisposals
}

// run closes descriptors until none is waiting.
func (d *disposal) run() {
	for {
		files := d.next()
		if len(files) == 0 {
			return
		}
		_ = grant.CloseFiles(files)
	}
}

// next returns all that wait. If none does, run has ended.
func (d *disposal) next() (files []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	files, d.waiting = d.waiting, nil
	if len(files) == 0 {
		close(d.ended)
		d.ended = nil
	}
	return files
}

// wait waits until all descriptors are closed.
func (d *disposal) wait() {
	d.mu.Lock()
	ended := d.ended
	d.mu.Unlock()
	if ended != nil {
		<-ended
	}
}
