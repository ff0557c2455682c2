package unixport

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// slotLen is the distance of two receive buffers in bytes: the largest frame, in whole cache lines, and no multiple of the
// page size, so that the heads of a batch do not compete for the same cache sets.
const slotLen = (vswitch.MaxFrame+63)&^63 + 64

// An address is that of a unix socket, as the kernel takes and gives it; its length is 0 if there is none.
type address struct {
	name unix.RawSockaddrUnix
	len  uint32 // bytes of name that count
}

// addressOf makes the address of a path that CheckPath accepts; a zero byte ends it.
func addressOf(path string) address { return addressFrom(append([]byte(path), 0)) }

// addressFrom makes the address of what stands in sun_path, at most unixsocket.MaxPath and one bytes.
func addressFrom(bytes []byte) address {
	a := address{name: unix.RawSockaddrUnix{Family: unix.AF_UNIX}}
	for i, b := range bytes {
		a.name.Path[i] = int8(b)
	}
	a.len = uint32(unsafe.Offsetof(a.name.Path)) + uint32(len(bytes))
	return a
}

// bytes returns what stands in sun_path.
func (a *address) bytes() []byte {
	bytes := make([]byte, a.len-uint32(unsafe.Offsetof(a.name.Path)))
	for i := range bytes {
		bytes[i] = byte(a.name.Path[i])
	}
	return bytes
}

// usable tells whether a frame can be sent there: a socket without a name is told by its family alone (unix(7)).
func (a *address) usable() bool { return a.len > uint32(unsafe.Offsetof(a.name.Path)) }

func (a *address) equal(b *address) bool { return a.len == b.len && a.name == b.name }

// datagrams are the arguments of recvmmsg and sendmmsg for one batch.
type datagrams struct {
	names [vswitch.BatchSize]address // senders of received ones
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

// receive asks for up to n datagrams, without waiting.
func (d *datagrams) receive(fd uintptr, n int) (int, syscall.Errno) {
	for i := range n {
		d.names[i] = address{} // the kernel writes as much of a name as there is
		d.msgs[i].Namelen = uint32(unsafe.Sizeof(d.names[i].name))
	}
	return descriptor.ReceiveMessages(fd, d.msgs[:n])
}

// datagram returns what datagram i holds and who sent it; it reports whether it was too long for its buffer.
func (d *datagrams) datagram(i int) (data []byte, from *address, truncated bool) {
	msg := &d.msgs[i]
	d.names[i].len = min(msg.Namelen, uint32(unsafe.Sizeof(d.names[i].name)))
	start, end := i*slotLen, i*slotLen+int(msg.Length)
	return d.slots[start : end : start+vswitch.MaxFrame], &d.names[i], msg.Flags&unix.MSG_TRUNC != 0
}

// set makes datagram i carry a frame, which stays borrowed until the send.
func (d *datagrams) set(i int, f *vswitch.Frame, to *address) {
	d.vec[i].Base = unsafe.SliceData(f.Data)
	d.vec[i].SetLen(len(f.Data))
	d.msgs[i].Name = (*byte)(unsafe.Pointer(&to.name))
	d.msgs[i].Namelen = to.len
}

// forget gives back the frames of the first n datagrams, which another port may have lent.
func (d *datagrams) forget(n int) {
	for i := range n {
		d.vec[i].Base = nil
	}
}

// send sends the datagrams from index from to index to, and returns how many the kernel took, without waiting.
func (d *datagrams) send(fd uintptr, from, to int) (int, syscall.Errno) {
	return descriptor.SendMessages(fd, d.msgs[from:to])
}
