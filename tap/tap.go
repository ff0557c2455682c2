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

// tapArena is the size in bytes of the buffer for the frames of one batch, which lie one behind the other: sixteen of the largest, or a
// full batch of small ones. A smaller buffer makes a bulk transfer wait more often; a larger one gains nothing (docs/performance.md).
const tapArena = 16 * (vnet.Size + vswitch.MaxFrame)

// A tapPort is the user side of a tap (Documentation/networking/tuntap.rst of Linux). A system call transfers one frame; Receive reads
// until the tap is empty, the batch is full, or the arena has no room for another frame.
type tapPort struct {
	*descriptor.Descriptor
	counters  *vswitch.Counters
	headerLen int // bytes of virtio-net header before each frame; 0: none

	// The following belong to the goroutine that receives.
	reader *descriptor.Reader[[]vswitch.Frame]
	arena  []byte

	mu     sync.Mutex // guards the following, for transmitting
	out    []vswitch.Frame
	header [vnet.Size]byte
	vec    [2]unix.Iovec
	write  func(fd uintptr)
}

// newTap makes a port of a configured tap, and owns fd.
func newTap(fd, headerLen int, counters *vswitch.Counters) (vswitch.Port, error) {
	d, err := descriptor.New(fd)
	if err != nil {
		return nil, err
	}
	t := &tapPort{Descriptor: d, counters: counters, headerLen: headerLen, arena: make([]byte, tapArena)}
	t.reader, t.write = descriptor.NewReader(d, t.readBatch), t.writeBatch
	return t, nil
}

// Counters implements vswitch.Port.
func (t *tapPort) Counters() *vswitch.Counters { return t.counters }

// Receive implements vswitch.Port.
func (t *tapPort) Receive(batch []vswitch.Frame) (int, error) { return t.reader.Receive(batch) }

// readBatch is an Attempt (package descriptor).
func (t *tapPort) readBatch(fd uintptr, batch []vswitch.Frame) (n int, wait bool, err error) {
	for used := 0; n < len(batch) && len(t.arena)-used >= vnet.Size+vswitch.MaxFrame; {
		b := t.arena[used : used+t.headerLen+vswitch.MaxFrame]
		length, errno := read(fd, b)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return n, n == 0, nil
		case errno != 0 || length == 0:
			if n == 0 { // otherwise the next call returns the error
				err = readError(errno)
			}
			return n, false, err
		case length < t.headerLen:
			t.counters.Drop(vswitch.Short, 1)
			continue
		}
		f := &batch[n]
		*f = vswitch.Frame{Data: b[t.headerLen:length]}
		if t.headerLen > 0 {
			f.Offload = vnet.Decode(b)
		}
		n++
		used += (length + 63) &^ 63 // the next frame begins at a cache line
	}
	return n, false, nil
}

// readError makes the error of Receive. A tap has no end of file: a descriptor that has one was passed on as a tap by mistake.
func readError(err syscall.Errno) error {
	if err == 0 {
		return os.NewSyscallError("read", io.ErrUnexpectedEOF)
	}
	return os.NewSyscallError("read", err)
}

// read reads one frame. The system call does not block, so it bypasses the scheduler's bookkeeping (RawSyscall).
func read(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), err
}

// Transmit implements vswitch.Port.
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
	t.vec[1].Base = nil // it may be another port's memory
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

// transmitReason returns the drop reason for an error of writev(2) or sendmmsg(2).
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
