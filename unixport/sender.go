package unixport

import (
	"bytes"
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// burst is the largest number of frames in one system call. Two pieces for each, and one for unsent bytes, stay below IOV_MAX, which is 1024
// (sendmsg(2)).
const burst = 128

// A sender writes frames to a stream, each behind its length field. It completes a frame of which the peer has the beginning before any
// other, however long that takes: otherwise the peer would decode the wrong bytes as a length field.
type sender struct {
	counters *vswitch.Counters
	lengths  [burst][prefixLen]byte
	vec      [1 + 2*burst]unix.Iovec
	msg      unix.Msghdr
	room     []byte // the buffer of unsent
	unsent   []byte // the end of a frame of which the peer has the beginning; in room
	begun    int    // length in bytes of that frame
}

func newSender(counters *vswitch.Counters) sender {
	return sender{counters: counters, room: make([]byte, prefixLen+vswitch.MaxFrame)}
}

// send writes the unsent bytes and then frames, at most burst and none above vswitch.MaxFrame, without waiting. It counts frames that the
// peer has no room for as drops.
func (s *sender) send(fd uintptr, frames []vswitch.Frame) {
	written, err := s.write(fd, s.gather(frames))
	taken := s.advance(written, frames)
	if taken == len(frames) {
		return
	}
	reason := vswitch.PortFull
	if err != 0 {
		reason = transmitReason(err)
	}
	s.counters.Drop(reason, len(frames)-taken)
}

// complete writes the unsent bytes. It reports false if they need another wait for the peer.
func (s *sender) complete(fd uintptr) bool {
	for len(s.unsent) > 0 {
		written, err := s.write(fd, s.gather(nil))
		s.advance(written, nil)
		if err != 0 {
			return err != unix.EAGAIN
		}
	}
	return true
}

// gather lists the pieces to write in s.vec, and returns their number.
func (s *sender) gather(frames []vswitch.Frame) int {
	n := 0
	add := func(piece []byte) {
		s.vec[n].Base = unsafe.SliceData(piece)
		s.vec[n].SetLen(len(piece))
		n++
	}
	if len(s.unsent) > 0 {
		add(s.unsent)
	}
	for i := range frames {
		binary.BigEndian.PutUint32(s.lengths[i][:], uint32(len(frames[i].Data)))
		add(s.lengths[i][:])
		add(frames[i].Data)
	}
	return n
}

// write sends the first n pieces, or as many of their bytes as the socket has room for, and returns the number of bytes. Afterwards it
// removes the references to the frames, which may be another port's memory. The system call does not block, so it bypasses the scheduler's
// bookkeeping (RawSyscall).
func (s *sender) write(fd uintptr, n int) (int, syscall.Errno) {
	s.msg.Iov = &s.vec[0]
	s.msg.SetIovlen(n)
	defer clear(s.vec[:n])
	for {
		written, _, err := unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&s.msg)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch err {
		case 0:
			return int(written), 0
		case unix.EINTR:
		default:
			return 0, err
		}
	}
}

// advance counts the frames of the written bytes, keeps the unsent bytes of a frame that was begun, and returns the number of frames that
// were written or begun.
func (s *sender) advance(written int, frames []vswitch.Frame) int {
	sent, bytes, taken := 0, 0, 0
	if len(s.unsent) > 0 {
		n := min(written, len(s.unsent))
		s.unsent, written = s.unsent[n:], written-n
		if len(s.unsent) == 0 {
			sent, bytes = 1, s.begun
		}
	}
	for ; taken < len(frames) && written > 0; taken++ {
		whole := prefixLen + len(frames[taken].Data)
		if written < whole {
			s.keep(taken, frames[taken].Data, written)
			taken++
			break
		}
		written -= whole
		sent++
		bytes += len(frames[taken].Data)
	}
	s.counters.Sent(sent, bytes)
	return taken
}

// keep copies the bytes of frame i and its length field behind the first written ones.
func (s *sender) keep(i int, data []byte, written int) {
	n := 0
	if written < prefixLen {
		n = copy(s.room, s.lengths[i][written:])
		written = prefixLen
	}
	n += copy(s.room[n:], data[written-prefixLen:])
	s.unsent, s.begun = s.room[:n], len(data)
}

// abandon drops a frame that was begun.
func (s *sender) abandon() {
	if len(s.unsent) > 0 {
		s.counters.Drop(vswitch.PortDown, 1)
		s.unsent = nil
	}
}

// handOver returns a copy of the unsent bytes and the length of their frame. Another sender completes the frame.
func (s *sender) handOver() (unsent []byte, begun int) {
	if len(s.unsent) == 0 {
		return nil, 0
	}
	unsent, s.unsent = bytes.Clone(s.unsent), nil
	return unsent, s.begun
}

// resume makes a new sender continue with what handOver of another one has returned.
func (s *sender) resume(unsent []byte, begun int) {
	s.unsent, s.begun = s.room[:copy(s.room, unsent)], begun
}
