package unixport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// backlog is the number of connections that wait to be accepted at most: there is one peer.
const backlog = 4

// acceptPause is how long the listener rests when the process has no descriptor or memory left for a connection.
const acceptPause = time.Second

// errSecond is why a connection is refused while another one is alive.
var errSecond = errors.New("a second connection was refused: the first one is alive")

// Options tell who is interested in the peer of a stream port. Each function may be nil, and must not wait for Close.
type Options struct {
	Connected    func()          // a peer has connected; called within Receive
	Disconnected func(err error) // it has gone: io.EOF, or what was wrong; called within Receive, not after Close
	Refused      func(err error) // a connection was not accepted; called from a goroutine of the port
}

// A streamPort listens on a unix stream socket and speaks with one peer at a time.
type streamPort struct {
	counters *vswitch.Counters
	options  Options
	listener *device
	file     socketFile     // none if somebody else has bound the socket
	group    sync.WaitGroup // the goroutines of the port and its connections
	done     chan struct{}  // closed by Close

	announced *connection // the peer that Connected told of; belongs to the goroutine that receives

	mu      sync.Mutex  // guards the following
	changed *sync.Cond  // current or closed has changed
	current *connection // nil: no peer
	closed  bool
}

// OpenStream listens on a unix stream socket for a hypervisor that connects, as QEMU does with
// -netdev stream,server=off,addr.type=unix,addr.path=PATH. Each frame on the stream comes behind its length in bytes, four
// bytes in big-endian order.
//
// There is one peer at a time: while it is there, another connection is closed at once. When it has gone, Receive waits for
// the next one, and frames to it are dropped as port-down. A frame without an Ethernet header is counted as short. A length
// beyond vswitch.MaxFrame is counted as truncated and ends the connection. When the peer does not read, frames are dropped
// as port-full; one that was begun is completed as soon as it reads again.
//
// The port takes no offloads and no frame above vswitch.MaxFrame: Transmit sends frames as they are. The socket's file has
// the mode 0600; one that a dead process left is replaced, and Close removes it. The error is a *PathError for a path that
// cannot be a socket's, and a *missing.Error when another process holds it or a permission is missing.
func OpenStream(path string, counters *vswitch.Counters, o Options) (vswitch.Port, error) {
	fd, file, err := bind(path, unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	if err := unix.Listen(fd, backlog); err != nil {
		unix.Close(fd)
		return nil, errors.Join(fmt.Errorf("listen on %q: %w", path, err), file.remove())
	}
	listener, err := newDevice(fd)
	if err != nil {
		return nil, errors.Join(err, file.remove())
	}
	p := newStreamPort(listener, counters, o)
	p.file = file
	return p, nil
}

// newStreamPort takes over a listening socket, without its file.
func newStreamPort(listener *device, counters *vswitch.Counters, o Options) *streamPort {
	p := &streamPort{counters: counters, options: o, listener: listener, done: make(chan struct{})}
	p.changed = sync.NewCond(&p.mu)
	p.group.Go(p.accept)
	return p
}

// Counters implements vswitch.Port.
func (p *streamPort) Counters() *vswitch.Counters { return p.counters }

// Receive implements vswitch.Port. It outlives any number of peers.
func (p *streamPort) Receive(batch []vswitch.Frame) (int, error) {
	for {
		c, err := p.peer()
		if err != nil {
			return 0, err
		}
		if c != p.announced {
			p.announced = c
			if p.options.Connected != nil {
				p.options.Connected()
			}
		}
		n, err := c.receive(batch, p.counters)
		if err == nil {
			return n, nil
		}
		p.lose(c, err)
	}
}

// peer waits for a connection.
func (p *streamPort) peer() (*connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.current == nil && !p.closed {
		p.changed.Wait()
	}
	if p.closed {
		return nil, net.ErrClosed
	}
	return p.current, nil
}

func (p *streamPort) lose(c *connection, cause error) {
	c.close()
	p.mu.Lock()
	p.current = nil
	closed := p.closed
	p.changed.Broadcast()
	p.mu.Unlock()
	if !closed && p.options.Disconnected != nil {
		p.options.Disconnected(cause)
	}
}

// Transmit implements vswitch.Port.
func (p *streamPort) Transmit(batch []vswitch.Frame) {
	p.mu.Lock()
	c := p.current
	p.mu.Unlock()
	if c == nil {
		p.counters.Drop(vswitch.PortDown, len(batch))
		return
	}
	c.transmit(batch, p.counters)
}

// accept takes connections until the listener is closed.
func (p *streamPort) accept() {
	for {
		var fd int
		var acceptErr error
		err := p.listener.Receive(func(listener uintptr) bool {
			fd, _, acceptErr = unix.Accept4(int(listener), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			return acceptErr != unix.EAGAIN
		})
		switch {
		case err != nil:
			return // closed
		case acceptErr == unix.EINTR, acceptErr == unix.ECONNABORTED:
		case acceptErr != nil:
			p.refuse(os.NewSyscallError("accept", acceptErr))
			if !p.rest(acceptPause) {
				return
			}
		default:
			if err := p.welcome(fd); err != nil {
				p.refuse(err)
			}
		}
	}
}

// rest reports false when Close came first.
func (p *streamPort) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.done:
		return false
	}
}

func (p *streamPort) refuse(err error) {
	if p.options.Refused != nil {
		p.options.Refused(err)
	}
}

// welcome makes an accepted socket the peer, or closes it and says why. A peer that has gone may have left frames behind:
// the new one waits until Receive has read them.
func (p *streamPort) welcome(fd int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.current != nil && !p.closed {
		if !p.current.gone() {
			unix.Close(fd)
			return errSecond
		}
		p.changed.Wait()
	}
	if p.closed {
		unix.Close(fd)
		return nil
	}
	d, err := newDevice(fd)
	if err != nil {
		return err
	}
	c := newConnection(d, p.counters)
	p.current = c
	p.group.Go(c.completeFrames)
	p.changed.Broadcast()
	return nil
}

// Close implements vswitch.Port. It returns when the goroutines of the port have ended.
func (p *streamPort) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	c := p.current
	p.changed.Broadcast()
	p.mu.Unlock()
	close(p.done)
	err := errors.Join(p.file.remove(), p.listener.close())
	if c != nil {
		c.close()
	}
	p.group.Wait()
	return err
}
