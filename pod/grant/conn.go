package grant

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of what the other side may say, whoever it is.
const (
	maxMessage  = 8 << 20 // bytes of JSON: a snapshot of a full forwarding database has a tenth
	maxFiles    = 16      // descriptors with one message
	headerSize  = 8       // length in bytes and number of descriptors, four bytes each in big-endian order
	sendTimeout = 2 * time.Second
)

// A Conn is one side of the conversation. One goroutine may receive, any may send. It is the keeper's side until Hello is said
// with it, and hears only what is for the other side to say.
type Conn struct {
	socket   *net.UnixConn
	timeout  time.Duration // of a Send
	isSwitch atomic.Bool   // it has said Hello
	mu       sync.Mutex    // one message after the other
}

// NewConn takes over a connected unix stream socket.
func NewConn(socket *net.UnixConn) *Conn { return &Conn{socket: socket, timeout: sendTimeout} }

// FromFile takes over the descriptor of a connected unix stream socket, which it closes in any case.
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

// Close ends the conversation.
func (c *Conn) Close() error { return c.socket.Close() }

// Send says m, and passes descriptors on, which stay the caller's. A side that does not read for two seconds is given up: the
// conversation is closed, because nothing could be understood behind half a message.
func (c *Conn) Send(m Message, files ...int) error {
	if err := m.check(); err != nil {
		return err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(body) > maxMessage || len(files) > maxFiles {
		return fmt.Errorf("a message of %d bytes and %d descriptors: at most %d and %d pass", len(body), len(files), maxMessage, maxFiles)
	}
	text := binary.BigEndian.AppendUint32(make([]byte, 0, headerSize+len(body)), uint32(len(body)))
	text = binary.BigEndian.AppendUint32(text, uint32(len(files)))
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	if m.Hello != nil {
		c.isSwitch.Store(true)
	}
	return c.write(append(text, body...), rights)
}

// write sends everything; the descriptors go with the first byte.
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
	if err != nil && !errors.Is(err, unix.EPIPE) { // where it has ended, its last words may be there
		c.socket.Close()
	}
	return err
}

// Receive returns what the other side says next, with the descriptors that came along, which the caller owns from here on. It
// returns io.EOF when the other side has ended. Every other error means that nothing more can be understood.
func (c *Conn) Receive() (m Message, files []int, err error) {
	length, files, err := c.header()
	if err != nil {
		return m, nil, err
	}
	var body bytes.Buffer // it grows with what really comes
	if _, err := io.CopyN(&body, c.socket, int64(length)); err != nil {
		return m, nil, errors.Join(fmt.Errorf("a message ends too early: %w", cut(err)), CloseFiles(files))
	}
	expected := saidBySwitch
	if c.isSwitch.Load() {
		expected = saidByKeeper
	}
	if m, err = parse(body.Bytes(), expected); err != nil {
		return m, nil, errors.Join(fmt.Errorf("a message is not understood: %w", err), CloseFiles(files))
	}
	return m, files, nil
}

// header reads the first bytes of a message and the descriptors that came with them.
func (c *Conn) header() (length uint32, files []int, err error) {
	text := make([]byte, headerSize)
	room := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, roomUsed, flags, _, err := c.socket.ReadMsgUnix(text, room)
	if errors.Is(err, io.EOF) {
		return 0, nil, io.EOF
	}
	if err != nil {
		return 0, nil, err
	}
	if files, err = rights(room[:roomUsed]); err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = errors.New("more descriptors than are allowed")
	}
	if err == nil {
		_, err = io.ReadFull(c.socket, text[n:])
		err = cut(err)
	}
	length = binary.BigEndian.Uint32(text)
	if count := binary.BigEndian.Uint32(text[4:]); err == nil && (length > maxMessage || count != uint32(len(files))) {
		err = fmt.Errorf("a message of %d bytes and %d descriptors, of which %d came: at most %d bytes pass", length, count, len(files), maxMessage)
	}
	if err != nil {
		return 0, nil, errors.Join(err, CloseFiles(files))
	}
	return length, files, nil
}

// cut tells an end within a message from one between two.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// rights are the descriptors in control messages.
func rights(room []byte) (files []int, err error) {
	messages, err := unix.ParseSocketControlMessage(room)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		passed, failed := unix.ParseUnixRights(&m)
		if failed != nil {
			err = errors.Join(err, failed)
		}
		files = append(files, passed...)
	}
	return files, err
}

// CloseFiles closes descriptors.
func CloseFiles(files []int) (err error) {
	for _, fd := range files {
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}
