package unixport

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// slotLen is the distance of two receive buffers in bytes: the largest frame, in whole cache lines. It is not a multiple of the page size,
// so that the headers of a batch do not compete for the same cache sets.
const slotLen = (vswitch.MaxFrame+63)&^63 + 64

// An address is that of a unix socket, in the kernel's form. Its length is 0 if there is none.
type address struct {
	name unix.RawSockaddrUnix
	len  uint32 // length of name in bytes
}

// addressOf returns the address for a path that checkPath accepts, which ends with a zero byte.
func addressOf(path string) address { return addressFrom(append([]byte(path), 0)) }

// addressFrom returns the address with the given bytes in sun_path, at most unixsocket.MaxPath+1.
func addressFrom(bytes []byte) address {
	a := address{name: unix.RawSockaddrUnix{Family: unix.AF_UNIX}}
	for i, b := range bytes {
		a.name.Path[i] = int8(b)
	}
	a.len = uint32(unsafe.Offsetof(a.name.Path)) + uint32(len(bytes))
	return a
}

// bytes returns the contents of sun_path.
func (a *address) bytes() []byte {
	bytes := make([]byte, a.len-uint32(unsafe.Offsetof(a.name.Path)))
	for i := range bytes {
		bytes[i] = byte(a.name.Path[i])
	}
	return bytes
}

// usable reports whether frames can be sent to the address. The address of a socket without a name has a family only (unix(7)).
func (a *address) usable() bool { return a.len > uint32(unsafe.Offsetof(a.name.Path)) }

func (a *address) equal(b *address) bool { return a.len == b.len && a.name == b.name }

// datagrams are the arguments of recvmmsg(2) or sendmmsg(2) for one batch.
type datagrams struct {
	names [vswitch.BatchSize]address // senders of received datagrams
	vec   [vswitch.BatchSize]unix.Iovec
	msgs  [vswitch.BatchSize]descriptor.Message
	slots []byte // receive buffers
}

func newDatagrams() *datagrams {
	d := &datagrams{}
	for i := range d.msgs {
		d.msgs[i].Iov = &d.vec[i]
		d.msgs[i].SetIovlen(1)
	}
	return d
}

func newReceiveDatagrams() *datagrams {
	d := newDatagrams()
	d.slots = make([]byte, vswitch.BatchSize*slotLen)
	for i := range d.msgs {
		d.vec[i].Base = &d.slots[i*slotLen]
		d.vec[i].SetLen(vswitch.MaxFrame)
		d.msgs[i].Name = (*byte)(unsafe.Pointer(&d.names[i].name))
	}
	return d
}

// receive receives up to n datagrams, without waiting.
func (d *datagrams) receive(fd uintptr, n int) (int, syscall.Errno) {
	for i := range n {
		d.names[i] = address{} // the kernel writes only as many bytes as the name has
		d.msgs[i].Namelen = uint32(unsafe.Sizeof(d.names[i].name))
	}
	return descriptor.ReceiveMessages(fd, d.msgs[:n])
}

// datagram returns the data and the sender of received datagram i, and reports whether it was truncated.
func (d *datagrams) datagram(i int) (data []byte, from *address, truncated bool) {
	msg := &d.msgs[i]
	d.names[i].len = min(msg.Namelen, uint32(unsafe.Sizeof(d.names[i].name)))
	start, end := i*slotLen, i*slotLen+int(msg.Length)
	return d.slots[start : end : start+vswitch.MaxFrame], &d.names[i], msg.Flags&unix.MSG_TRUNC != 0
}

// set makes datagram i send f, whose memory is in use until the send.
func (d *datagrams) set(i int, f *vswitch.Frame, to *address) {
	d.vec[i].Base = unsafe.SliceData(f.Data)
	d.vec[i].SetLen(len(f.Data))
	d.msgs[i].Name = (*byte)(unsafe.Pointer(&to.name))
	d.msgs[i].Namelen = to.len
}

// forget removes the references to the frames of the first n datagrams, which may be another port's memory.
func (d *datagrams) forget(n int) {
	for i := range n {
		d.vec[i].Base = nil
	}
}

// send sends the datagrams with the indexes from to to-1, without waiting, and returns how many the kernel has accepted.
func (d *datagrams) send(fd uintptr, from, to int) (int, syscall.Errno) {
	return descriptor.SendMessages(fd, d.msgs[from:to])
}
