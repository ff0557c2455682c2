package descriptor

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long Interruptibly lets a system call wait.
const patience = 10 * time.Millisecond

// Interruptibly calls f, and interrupts whatever its system calls wait for, after 10 ms and again as often. A wait of close(2) ends that
// way without an error, and the file is closed: of a TCP socket with SO_LINGER and unsent data (socket(7)), also where the kernel closes it
// with the queue of a unix socket. Another process decides how long such a wait is. A wait that no signal ends, such as for the server of
// a FUSE file system, goes on.
//
// The signal is SIGURG, which the runtime handles: it interrupts goroutines with it. f must not wait for other goroutines.
func Interruptibly(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	process, thread := unix.Getpid(), unix.Gettid()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(patience)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_ = unix.Tgkill(process, thread, unix.SIGURG)
			case <-done:
				return
			}
		}
	}()
	f()
	close(done)
	<-ended // the thread ends no sooner
}
