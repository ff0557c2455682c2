package tap

import (
	"io"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// tapArena is the room for the frames of one batch, one behind the other: sixteen of the largest, or a full batch of small
// ones. With fewer, a bulk transfer waits oftener than it must; more gain nothing (docs/performance.md).
const tapArena = 16 * (vnet.Size + vswitch.MaxFrame)

// A tapPort is the user side of a tap. The kernel takes and gives one frame per system call; Receive reads until the tap is
// empty, the batch is full or the arena is used up.
type tapPort struct {
	*descriptor.Descriptor
	counters  *vswitch.Counters
	headerLen int // bytes of virtio-net header before each frame; 0: none

	// The following belong to the goroutine that receives. The closure is made once: making it per call would allocate.
	arena   []byte
	batch   []vswitch.Frame
	n       int
	readErr error
	read    func(fd uintptr) bool

	mu     sync.Mutex // guards the following, which belong to who transmits
	out    []vswitch.Frame
	header [vnet.Size]byte
	vec    [2]unix.Iovec
	write  func(fd uintptr)
}

// newTap takes over the descriptor of a configured tap.
func newTap(fd, headerLen int, counters *vswitch.Counters) (vswitch.Port, error) {
	d, err := descriptor.New(fd)
	if err != nil {
		return nil, err
	}
	t := &tapPort{Descriptor: d, counters: counters, headerLen: headerLen, arena: make([]byte, tapArena)}
	t.read, t.write = t.readBatch, t.writeBatch
	return t, nil
}

func (t *tapPort) Counters() *vswitch.Counters { return t.counters }

func (t *tapPort) Receive(batch []vswitch.Frame) (int, error) {
	t.batch, t.n, t.readErr = batch, 0, nil
	if err := t.Descriptor.Receive(t.read); err != nil {
		return 0, err
	}
	return t.n, t.readErr
}

// readBatch reports false when there is nothing yet.
func (t *tapPort) readBatch(fd uintptr) bool {
	for used := 0; t.n < len(t.batch) && len(t.arena)-used >= vnet.Size+vswitch.MaxFrame; {
		b := t.arena[used : used+t.headerLen+vswitch.MaxFrame]
		n, err := read(fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return t.n > 0
		case err != 0 || n == 0:
			if t.n == 0 { // otherwise the next call finds it again
				t.readErr = readError(err)
			}
			return true
		case n < t.headerLen:
			t.counters.Drop(vswitch.Short, 1)
			continue
		}
		f := &t.batch[t.n]
		*f = vswitch.Frame{Data: b[t.headerLen:n]}
		if t.headerLen > 0 {
			f.Offload = vnet.Decode(b)
		}
		t.n++
		used += (n + 63) &^ 63 // the next frame starts a cache line of its own
	}
	return true
}

// readError is what ends Receive. A tap has no end: what has one is something else, that was passed on as a tap.
func readError(err syscall.Errno) error {
	if err == 0 {
		return os.NewSyscallError("read", io.ErrUnexpectedEOF)
	}
	return os.NewSyscallError("read", err)
}

// read reads one frame. It cannot block, so the scheduler need not hear of it.
func read(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), err
}

func (t *tapPort) Transmit(batch []vswitch.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = batch
	if !t.Descriptor.Transmit(t.write) {
		t.counters.Drop(vswitch.PortDown, len(batch))
	}
	t.out = nil
}

func (t *tapPort) writeBatch(fd uintptr) {
	frames, bytes := 0, 0
	for i := range t.out {
		f := &t.out[i]
		err := t.writeFrame(fd, f)
		switch {
		case err == 0:
			frames++
			bytes += len(f.Data)
		case isRefused(err, f):
			sendCut(f, t.counters, func(piece *vswitch.Frame) syscall.Errno { return t.writeFrame(fd, piece) })
		default:
			t.counters.Drop(transmitReason(err), 1)
		}
	}
	t.counters.Sent(frames, bytes)
	t.vec[1].Base = nil // another port may have lent it
}

func (t *tapPort) writeFrame(fd uintptr, f *vswitch.Frame) syscall.Errno {
	vec := t.vec[:]
	f.Offload.Encode(t.header[:])
	vec[0].Base = &t.header[0]
	vec[0].SetLen(t.headerLen)
	vec[1].Base = &f.Data[0]
	vec[1].SetLen(len(f.Data))
	for {
		_, _, err := unix.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vec[0])), 2)
		if err != unix.EINTR {
			return err
		}
	}
}

// transmitReason maps an error of a write or send to the reason under which the frame is counted.
func transmitReason(err syscall.Errno) vswitch.Reason {
	switch err {
	case unix.EAGAIN, unix.ENOBUFS:
		return vswitch.PortFull
	case unix.EIO, unix.EBADFD, unix.ENETDOWN, unix.ENXIO, unix.ENODEV:
		return vswitch.PortDown
	case unix.EMSGSIZE:
		return vswitch.TooBig
	}
	return vswitch.TransmitError
}
