package unixport

import (
	"bytes"
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// burst is the number of frames in one system call at most: two pieces each, and the rest of a frame before, stay far below
// IOV_MAX, 1024 (sendmsg(2)).
const burst = 128

// A sender writes frames to a stream, each behind its length. A frame that was begun is completed before any other, however
// long the peer takes: otherwise the peer would take the middle of a frame for a length.
type sender struct {
	counters *vswitch.Counters
	lengths  [burst][prefixLen]byte
	vec      [1 + 2*burst]unix.Iovec
	msg      unix.Msghdr
	room     []byte // for the rest of one frame
	rest     []byte // what is still to be written of the frame that was begun; in room
	begun    int    // that frame's length
}

func newSender(counters *vswitch.Counters) sender {
	return sender{counters: counters, room: make([]byte, prefixLen+vswitch.MaxFrame)}
}

// send writes the rest and then the frames, at most burst and none above vswitch.MaxFrame, without waiting. Frames that the peer has
// no room for are counted as drops.
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

// complete writes the rest and reports whether nothing is left that waiting would help.
func (s *sender) complete(fd uintptr) bool {
	for len(s.rest) > 0 {
		written, err := s.write(fd, s.gather(nil))
		s.advance(written, nil)
		if err != 0 {
			return err != unix.EAGAIN
		}
	}
	return true
}

// gather lists the pieces to write and returns how many there are.
func (s *sender) gather(frames []vswitch.Frame) int {
	n := 0
	add := func(piece []byte) {
		s.vec[n].Base = unsafe.SliceData(piece)
		s.vec[n].SetLen(len(piece))
		n++
	}
	if len(s.rest) > 0 {
		add(s.rest)
	}
	for i := range frames {
		binary.BigEndian.PutUint32(s.lengths[i][:], uint32(len(frames[i].Data)))
		add(s.lengths[i][:])
		add(frames[i].Data)
	}
	return n
}

// write hands the first n pieces to the kernel, which takes them all, or as many bytes as it has room for; and gives back the frames,
// which another port may have lent. It cannot block, so the scheduler need not hear of it.
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

// advance counts what was written, keeps the rest of a frame that was begun, and returns how many of the frames are done
// with: written or begun.
func (s *sender) advance(written int, frames []vswitch.Frame) int {
	sent, bytes, taken := 0, 0, 0
	if len(s.rest) > 0 {
		n := min(written, len(s.rest))
		s.rest, written = s.rest[n:], written-n
		if len(s.rest) == 0 {
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

// keep copies what comes behind the first written bytes of frame i and its length.
func (s *sender) keep(i int, data []byte, written int) {
	n := 0
	if written < prefixLen {
		n = copy(s.room, s.lengths[i][written:])
		written = prefixLen
	}
	n += copy(s.room[n:], data[written-prefixLen:])
	s.rest, s.begun = s.room[:n], len(data)
}

// abandon counts the frame that was begun as lost, if there is one.
func (s *sender) abandon() {
	if len(s.rest) > 0 {
		s.counters.Drop(vswitch.PortDown, 1)
		s.rest = nil
	}
}

// left returns a copy of the rest and the length of its frame, which is somebody else's to complete from here on.
func (s *sender) left() (rest []byte, begun int) {
	if len(s.rest) == 0 {
		return nil, 0
	}
	rest, s.rest = bytes.Clone(s.rest), nil
	return rest, s.begun
}

// adopt makes a fresh sender go on with the rest that another one has left, of a frame of the given length.
func (s *sender) adopt(rest []byte, begun int) {
	s.rest, s.begun = s.room[:copy(s.room, rest)], begun
}
