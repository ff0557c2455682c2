package unixport

import (
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/internal/handover"
)

// retryPause is the pause of a goroutine after the process or the kernel has run out of descriptors or memory.
const retryPause = time.Second

// errSecond is the error for a connection that comes while another one is open.
var errSecond = errors.New("refused a second connection: the first one is still open")

// acceptConnections accepts connections until Interrupt or Close.
func (p *streamPort) acceptConnections() {
	for p.awaitFreeSlot() {
		fd, err := p.acceptNext()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
		case errors.Is(err, errShutDown):
			p.fail(err)
			return
		case err != nil:
			p.refuse(err)
			if !pause(retryPause, p.ended) {
				return
			}
		default:
			if err := p.admit(fd); err != nil {
				p.refuse(err)
			}
		}
	}
}

// fail makes Receive return err when there is no connection any more.
func (p *streamPort) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = err
	p.changed.Broadcast()
}

// acceptNext waits for a connection and accepts it. The error is errShutDown if there will be none.
func (p *streamPort) acceptNext() (fd int, err error) {
	var acceptErr error
	nothing := 0 // attempts without a connection
	err = p.listener.Receive(func(listener uintptr) bool {
		fd, _, acceptErr = unix.Accept4(int(listener), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if acceptErr != unix.EAGAIN {
			return true
		}
		nothing++
		return nothing > mostNothing && p.listener.hasHungUp()
	})
	switch {
	case err == nil && acceptErr == unix.EAGAIN:
		return -1, errShutDown
	case err == nil:
		err = os.NewSyscallError("accept", acceptErr)
	}
	return fd, err
}

// awaitFreeSlot waits while there is a next connection: further ones stay in the backlog. It reports false after Interrupt or Close.
func (p *streamPort) awaitFreeSlot() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.next != nil && !p.closed && !p.interrupted {
		p.changed.Wait()
	}
	return !p.closed && !p.interrupted
}

// pause waits for d. It reports false at once when ended is closed.
func pause(d time.Duration, ended <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ended:
		return false
	}
}

// refuse reports a connection that was not accepted.
func (p *streamPort) refuse(err error) {
	if p.options.Refused != nil {
		p.options.Refused(err)
	}
}

// admit makes an accepted socket a connection of the port, or closes it and returns the reason. If the current peer has hung up, its
// remaining frames are still to be received, and the new connection becomes the next one.
func (p *streamPort) admit(fd int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return unix.Close(fd)
	case p.current != nil && !p.current.hasHungUp():
		return errors.Join(errSecond, unix.Close(fd))
	}
	return p.addLocked(fd, handover.Socket{})
}

// addLocked makes a connection the current one, or the next one if there is a current one. The connection resumes its part of h. addLocked
// owns fd and closes it after an error.
func (p *streamPort) addLocked(fd int, h handover.Socket) error {
	d, err := newDevice(fd)
	if err != nil {
		return err
	}
	c := newConnection(d, p.counters, h)
	if h.Announced {
		p.announced = c
	}
	if p.current == nil {
		p.current = c
	} else {
		p.next = c
	}
	p.group.Go(c.completeFrames)
	p.changed.Broadcast()
	return nil
}
