package unixport

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/podswitch/podswitch/vswitch"
)

// prefixLen is the size in bytes of the length field before each frame of a stream: big-endian, not counting itself (QEMU, net/stream.c,
// and net_fill_rstate of net/net.c).
const prefixLen = 4

// headerLen is the size of an Ethernet header in bytes.
const headerLen = 14

// streamBuffer is the size in bytes of the receive buffer: four of the largest frames, or hundreds of small ones, in one read.
const streamBuffer = 4 * (prefixLen + vswitch.MaxFrame)

// A lengthError is the error for a length field above vswitch.MaxFrame. The stream cannot be decoded any further.
type lengthError struct{ length uint32 } // in bytes

// Error returns a text with the length and the largest allowed one.
func (e *lengthError) Error() string {
	return fmt.Sprintf("the length field announces a frame of %d bytes; want at most %d", e.length, vswitch.MaxFrame)
}

// A decoder splits a stream of bytes into frames, in place in its buffer.
type decoder struct {
	buf        []byte
	start, end int // of the bytes that were read and are not split yet
}

func newDecoder() decoder { return decoder{buf: make([]byte, streamBuffer)} }

// frames fills in batch with the complete frames, and returns their number. The frames are valid until the next call of room, and the
// capacity of each ends with the last one. Frames without an Ethernet header are counted and skipped. frames returns a *lengthError after
// the frames before the wrong length field, and on every later call.
func (d *decoder) frames(batch []vswitch.Frame, counters *vswitch.Counters) (int, error) {
	n := 0
	for n < len(batch) && d.end-d.start >= prefixLen {
		announced := binary.BigEndian.Uint32(d.buf[d.start:])
		if announced > vswitch.MaxFrame {
			if n > 0 {
				break
			}
			return 0, &lengthError{announced}
		}
		from := d.start + prefixLen
		to := from + int(announced)
		if to > d.end {
			break
		}
		d.start = to
		if announced < headerLen {
			counters.Drop(vswitch.Short, 1)
			continue
		}
		batch[n] = vswitch.Frame{Data: d.buf[from:to]}
		n++
	}
	for i := range batch[:n] {
		b := batch[i].Data
		batch[i].Data = b[: len(b) : cap(b)-cap(d.buf)+d.start]
	}
	return n, nil
}

// room returns the free part of the buffer, after moving the remaining bytes to the front. It is not empty if frames has just returned
// neither a frame nor an error: then less than one of the largest frames remains.
func (d *decoder) room() []byte {
	d.end = copy(d.buf, d.buf[d.start:d.end])
	d.start = 0
	return d.buf[d.end:]
}

// filled adds n bytes, which were read into room, to the stream.
func (d *decoder) filled(n int) { d.end += n }

// hasBytes reports whether bytes remain. After frames has returned none, they belong to an incomplete frame.
func (d *decoder) hasBytes() bool { return d.end > d.start }

// remaining returns a copy of the bytes that were read and are not split yet.
func (d *decoder) remaining() []byte { return bytes.Clone(d.buf[d.start:d.end]) }

// resume makes a new decoder continue with the remaining bytes of another one, at most streamBuffer.
func (d *decoder) resume(remaining []byte) { d.end = copy(d.buf, remaining) }
