package unixport

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/podswitch/podswitch/vswitch"
)

// prefixLen is the size in bytes of the length before each frame on a stream: big-endian, without itself (QEMU,
// net/stream.c and net/net.c, net_fill_rstate).
const prefixLen = 4

// headerLen is the size of an Ethernet header in bytes.
const headerLen = 14

// streamBuffer is the room for received bytes: four of the largest frames, or hundreds of small ones, in one read.
const streamBuffer = 4 * (prefixLen + vswitch.MaxFrame)

// A LengthError says that a peer announced a frame that is larger than any: what follows cannot be told apart any more.
type LengthError struct{ Length uint32 } // in bytes

// Error names the length and the largest one.
func (e *LengthError) Error() string {
	return fmt.Sprintf("a frame of %d bytes was announced; want at most %d", e.Length, vswitch.MaxFrame)
}

// A decoder cuts a stream of bytes into frames, in the buffer where the bytes were read to.
type decoder struct {
	buf        []byte
	start, end int // of what was read and is not cut yet
}

func newDecoder() decoder { return decoder{buf: make([]byte, streamBuffer)} }

// frames cuts complete frames and returns how many. They are borrowed until the next call of room, and the capacity of each
// ends with the last of them. Frames without an Ethernet header are counted and skipped. A *LengthError comes after the frames
// before it, and from then on always.
func (d *decoder) frames(batch []vswitch.Frame, counters *vswitch.Counters) (int, error) {
	n := 0
	for n < len(batch) && d.end-d.start >= prefixLen {
		announced := binary.BigEndian.Uint32(d.buf[d.start:])
		if announced > vswitch.MaxFrame {
			if n > 0 {
				break
			}
			return 0, &LengthError{announced}
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

// room returns where to read the next bytes to. It is not empty if frames has returned none and no error: what is left then
// is less than one of the largest frames, and moves to the front.
func (d *decoder) room() []byte {
	d.end = copy(d.buf, d.buf[d.start:d.end])
	d.start = 0
	return d.buf[d.end:]
}

// filled says how many bytes were read to the room.
func (d *decoder) filled(n int) { d.end += n }

// holds tells whether there are bytes: after frames has returned none, those of an incomplete frame.
func (d *decoder) holds() bool { return d.end > d.start }

// left returns a copy of what was read and is not cut yet.
func (d *decoder) left() []byte { return bytes.Clone(d.buf[d.start:d.end]) }

// adopt makes an empty decoder go on where another one has left, which had at most streamBuffer bytes.
func (d *decoder) adopt(left []byte) { d.end = copy(d.buf, left) }
