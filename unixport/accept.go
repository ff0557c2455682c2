package unixport

import (
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// retryPause is how long a goroutine of a port rests when the process has no descriptor or memory left for a connection, or the
// kernel none for poll(2).
const retryPause = time.Second

// errSecond is why a connection is refused while another one is alive.
var errSecond = errors.New("a second connection was refused: the first one is alive")

// accept takes connections until it is interrupted or closed.
func (p *streamPort) accept() {
	for p.awaitTurn() {
		fd, err := p.acceptNext()
		switch {
		case errors.Is(err, net.ErrClosed):
			return // interrupted or closed
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
		case err != nil:
			p.refuse(err)
			if !pause(retryPause, p.ended) {
				return
			}
		default:
			if err := p.welcome(fd); err != nil {
				p.refuse(err)
			}
		}
	}
}

// acceptNext waits for a connection and takes it.
func (p *streamPort) acceptNext() (fd int, err error) {
	var acceptErr error
	err = p.listener.Receive(func(listener uintptr) bool {
		fd, _, acceptErr = unix.Accept4(int(listener), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return acceptErr != unix.EAGAIN
	})
	if err == nil {
		err = os.NewSyscallError("accept", acceptErr)
	}
	return fd, err
}

// awaitTurn waits while a connection waits for its turn: one that comes now stays in the backlog. It reports false at the end.
func (p *streamPort) awaitTurn() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.next != nil && !p.closed && !p.interrupted {
		p.changed.Wait()
	}
	return !p.closed && !p.interrupted
}

// pause reports false when the end came first.
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

func (p *streamPort) refuse(err error) {
	if p.options.Refused != nil {
		p.options.Refused(err)
	}
}

// welcome makes an accepted socket the peer, or closes it and says why. A peer that has gone may have left frames behind: the new
// one gets its turn when Receive has read them.
func (p *streamPort) welcome(fd int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return unix.Close(fd)
	case p.current != nil && !p.current.gone():
		return errors.Join(errSecond, unix.Close(fd))
	}
	return p.addLocked(fd, Rest{})
}

// addLocked makes a connection the current one, which goes on with what of the rest is about it, or the next one. It owns the
// descriptor, also when there is an error.
func (p *streamPort) addLocked(fd int, rest Rest) error {
	d, err := newDevice(fd)
	if err != nil {
		return err
	}
	c := newConnection(d, p.counters, rest)
	if rest.Announced {
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
