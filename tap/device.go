package tap

import (
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// A device is an open descriptor that belongs to the runtime's poller: reading waits there, and Close ends the wait.
type device struct {
	file   *os.File
	raw    syscall.RawConn
	closed *atomic.Bool
}

// newDevice takes over the file.
func newDevice(file *os.File) (device, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return device{}, err
	}
	return device{file, raw, new(atomic.Bool)}, nil
}

// lostError is what Receive returns when the poller gave up: the poller's own error for a closed file has no name outside.
func (d *device) lostError(err error) error {
	if d.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// Close implements vswitch.Port.
func (d *device) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.file.Close()
}
