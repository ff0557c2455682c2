package grant

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
)

// maxRights is the number of descriptors that the kernel passes with one byte at most (SCM_MAX_FD in unix(7)).
const maxRights = 253

// A reader reads one message. Each read has room for all descriptors that may arrive with it, with whatever byte the other side sends
// them. The kernel closes those without room within the read, which is therefore interrupted: this process may have no free descriptor.
type reader struct {
	socket  syscall.RawConn
	refuses *atomic.Bool // there is no room for descriptors
	isSmall *atomic.Bool // a message has at most maxSmall bytes
	control []byte
	files   []int // all descriptors that have arrived; the caller's, also after an error
}

// message reads a message and its descriptors, and returns the JSON.
func (r *reader) message() ([]byte, error) {
	length, err := r.header()
	if err != nil {
		return nil, err
	}
	count := len(r.files)
	var body bytes.Buffer // grows with what arrives, and not with what the header announces
	if _, err := io.CopyN(&body, r, int64(length)); err != nil {
		return nil, fmt.Errorf("incomplete message: %w", midMessage(err))
	}
	if len(r.files) != count {
		return nil, fmt.Errorf("%w: descriptors behind the header", ErrInvalid)
	}
	return body.Bytes(), nil
}

// header reads the header of a message, with the descriptors, and returns the length of the JSON.
func (r *reader) header() (length uint32, err error) {
	text := make([]byte, headerSize)
	n, err := r.Read(text)
	if err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(r, text[n:]); err != nil {
		return 0, midMessage(err)
	}
	length = binary.BigEndian.Uint32(text)
	limit := uint32(maxMessage)
	if r.isSmall.Load() {
		limit = maxSmall
	}
	if count := binary.BigEndian.Uint32(text[4:]); length > limit || count != uint32(len(r.files)) {
		return 0, fmt.Errorf("message announced with %d bytes and %d descriptors, of which %d arrived: want at most %d bytes", length, count, len(r.files), limit)
	}
	return length, nil
}

// Read implements io.Reader, and keeps the descriptors that arrive.
func (r *reader) Read(text []byte) (int, error) {
	n, controlLen, flags, err := r.receive(text)
	if err != nil {
		return 0, err
	}
	files, err := rights(r.control[:controlLen])
	r.files = append(r.files, files...)
	switch truncated := flags&unix.MSG_CTRUNC != 0; {
	case err == nil && truncated && controlLen == 0:
		err = fmt.Errorf("%w: descriptors that were not asked for", ErrInvalid)
	case err == nil && (truncated || len(r.files) > maxFiles):
		err = fmt.Errorf("message with more than %d descriptors", maxFiles)
	}
	return n, err
}

// receive is recvmsg(2). At the end of the session it returns io.EOF.
func (r *reader) receive(text []byte) (n, controlLen, flags int, err error) {
	failed := r.socket.Read(func(fd uintptr) bool {
		control := r.control
		if r.refuses.Load() {
			control = nil
		}
		descriptor.Interruptibly(func() { n, controlLen, flags, _, err = unix.Recvmsg(int(fd), text, control, unix.MSG_CMSG_CLOEXEC) })
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	switch {
	case failed != nil:
		return 0, 0, 0, failed
	case err != nil:
		return 0, 0, 0, os.NewSyscallError("recvmsg", err)
	case n == 0:
		return 0, 0, 0, io.EOF
	}
	return n, controlLen, flags, nil
}

// midMessage turns the end of the connection within a message into an error that is not io.EOF.
func midMessage(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// rights returns the descriptors of control messages. They are open, and the caller's, also beside an error.
func rights(control []byte) (files []int, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
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
