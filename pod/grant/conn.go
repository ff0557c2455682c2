package grant

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/host/unixsocket"
)

// Bounds of a message, from either side.
const (
	maxMessage  = 8 << 20 // bytes of JSON; the snapshot of a full forwarding database has a tenth of it
	maxFiles    = 16      // descriptors
	headerSize  = 8       // bytes: length of the JSON and number of descriptors, each a big-endian uint32
	sendTimeout = 2 * time.Second
)

// ErrInvalid means that the other side has sent data that this Version does not define: it is another version of podswitch, or another
// program.
var ErrInvalid = errors.New("invalid message")

// A Conn is one end of a session. It is the switch's end if a Hello or an Ask was sent with it, and the keeper's otherwise. It receives only messages that the other side may
// send. One goroutine at a time may call Receive; Send and Close may be called at any time.
type Conn struct {
	socket   *net.UnixConn
	timeout  time.Duration // of a Send
	isSwitch atomic.Bool   // a Hello or an Ask was sent
	refuses  atomic.Bool   // RefuseFiles
	isSmall  atomic.Bool   // RefuseLarge
	discard  func([]int)   // closes descriptors of a message that is refused
	mu       sync.Mutex    // held while a message is written
}

// NewConn returns the end of a session over a connected unix stream socket, which the Conn owns from then on.
func NewConn(socket *net.UnixConn) *Conn {
	return &Conn{socket: socket, timeout: sendTimeout, discard: func(files []int) { _ = CloseFiles(files) }}
}

// DiscardWith makes Receive pass the descriptors of a message that it refuses to a function, which owns them, instead of closing them:
// close(2) of a descriptor of the other side may block. It must be called before Receive.
func (c *Conn) DiscardWith(discard func(files []int)) { c.discard = discard }

// RefuseFiles makes Receive refuse every message with descriptors, without receiving these, until it is called with false. A descriptor
// that a process has received is a danger for it: close(2) of a file of the other side's file system (FUSE) waits for that side without
// end, not even SIGKILL ends the process, and its other descriptors stay open.
func (c *Conn) RefuseFiles(refuses bool) { c.refuses.Store(refuses) }

// RefuseLarge makes Receive refuse every message above 64 KiB, from its header, until it is called with false. A message takes several times its
// size while it is decoded, and any number of sessions may send one at the same time.
func (c *Conn) RefuseLarge(refuses bool) { c.isSmall.Store(refuses) }

// FromFile returns the end of a session over the descriptor of a connected unix stream socket. It closes the file in any case.
func FromFile(f *os.File) (*Conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("%s: want a connected unix stream socket: %w", f.Name(), err)
	}
	socket, ok := c.(*net.UnixConn)
	if !ok || c.LocalAddr().Network() != "unix" || c.RemoteAddr() == nil {
		c.Close()
		return nil, fmt.Errorf("%s: want a connected unix stream socket, have %s", f.Name(), c.LocalAddr().Network())
	}
	return NewConn(socket), nil
}

// IsForeign reports whether the other side is in a process namespace that this process cannot see into, as of another container.
func (c *Conn) IsForeign() bool {
	peer, err := unixsocket.Peer(c.socket)
	return err == nil && peer.Pid == 0
}

// Close ends the session, and closes the descriptor. It returns soon, although the kernel closes the descriptors in the queue then
// (descriptor.Interruptibly).
func (c *Conn) Close() (err error) {
	descriptor.Interruptibly(func() { err = c.socket.Close() })
	return err
}

// End ends the session without blocking: Receive and Send return an error from now on. Close has to follow.
func (c *Conn) End() {
	_ = c.socket.SetDeadline(time.Unix(1, 0)) // ends a Receive that has more to read
	_ = c.socket.CloseRead()
	_ = c.socket.CloseWrite()
}

// Send sends a message with descriptors, which stay the caller's. If the other side does not read for two seconds, Send ends the
// session: half a message may have been written. A message that cannot be sent is refused before anything is written.
func (c *Conn) Send(m Message, files ...int) error {
	if err := m.check(); err != nil {
		return err
	}
	body, err := encode(m)
	if err != nil {
		return err
	}
	if len(body) > maxMessage || len(files) > maxFiles {
		return fmt.Errorf("message of %d bytes with %d descriptors: want at most %d and %d", len(body), len(files), maxMessage, maxFiles)
	}
	text := binary.BigEndian.AppendUint32(make([]byte, 0, headerSize+len(body)), uint32(len(body)))
	text = binary.BigEndian.AppendUint32(text, uint32(len(files)))
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	if m.Hello != nil || m.Ask != nil {
		c.isSwitch.Store(true)
	}
	return c.write(append(text, body...), rights)
}

// encode returns the JSON of a message. Text that was encoded before does not grow: json.Marshal would write six bytes for each <, > and &.
func encode(m Message) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(m); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// write sends the text, and the descriptors with its first byte.
func (c *Conn) write(text, rights []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.socket.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	n, _, err := c.socket.WriteMsgUnix(text, rights, nil)
	if err == nil && n < len(text) {
		_, err = c.socket.Write(text[n:])
	}
	if err != nil && !errors.Is(err, unix.EPIPE) { // a side that has ended may have sent a Fault, which Receive still returns
		c.End()
	}
	return err
}

// Receive waits for the next message and returns it with its descriptors, which the caller owns from then on. It returns io.EOF
// if the other side has closed the connection between two messages. After any other error the connection is of no use: what
// follows on it is not the begin of a message.
func (c *Conn) Receive() (m Message, files []int, err error) {
	raw, err := c.socket.SyscallConn()
	if err != nil {
		return Message{}, nil, err
	}
	r := reader{socket: raw, refuses: &c.refuses, isSmall: &c.isSmall, control: make([]byte, unix.CmsgSpace(4*maxRights))}
	body, err := r.message()
	if err == nil {
		if m, err = parse(body, c.other()); err != nil {
			err = fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	if err != nil {
		c.discard(r.files)
		return Message{}, nil, err
	}
	return m, r.files, nil
}

// other returns the side at the other end.
func (c *Conn) other() side {
	if c.isSwitch.Load() {
		return keeperSide
	}
	return switchSide
}

// CloseFiles closes descriptors, and returns the errors of all. Those that linger do not hold it up (descriptor.Interruptibly).
func CloseFiles(files []int) (err error) {
	descriptor.Interruptibly(func() {
		for _, fd := range files {
			err = errors.Join(err, unix.Close(fd))
		}
	})
	return err
}
