package keeper

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

// maxDisposals bounds the descriptors that wait for their end. A session that exceeds it ends.
const maxDisposals = 256

// A disposal closes descriptors that a switch has passed, or of which it has a copy, in a goroutine of its own. close(2) may block for as
// long as a switch likes: of a TCP socket with SO_LINGER and unsent data (socket(7)), if it is the last descriptor. Neither the loop nor a
// goroutine that reads or writes a session may wait for that. The zero value is ready to use.
type disposal struct {
	mu      sync.Mutex // guards the following
	waiting []int
	running bool
}

// add closes descriptors soon, and reports whether too many are waiting. It does not block.
func (d *disposal) add(files []int) (tooMany bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, files...)
	if len(d.waiting) > 0 && !d.running {
		d.running = true
		go d.run()
	}
	return len(d.waiting) > maxDisposals
}

// run closes descriptors until none is waiting.
func (d *disposal) run() {
	for {
		d.mu.Lock()
		files := d.waiting
		d.waiting = nil
		d.running = len(files) > 0
		d.mu.Unlock()
		if len(files) == 0 {
			return
		}
		for _, fd := range files {
			// Another copy of the socket may set it again. The descriptors after it then wait.
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
			_ = grant.CloseFiles([]int{fd})
		}
	}
}
