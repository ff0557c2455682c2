package tap

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// vlanRoom is the headroom in bytes before a received frame, for the VLAN tag: the kernel removes it and reports it in PACKET_AUXDATA
// (packet(7)).
const vlanRoom = 4

// slotLen is the distance of two receive buffers in bytes: headroom and the largest frame, in whole cache lines. It is not a multiple of
// the page size, so that the headers of a batch do not compete for the same cache sets.
const slotLen = (vlanRoom+vswitch.MaxFrame+63)&^63 + 64

// auxControlLen is the size in bytes of one PACKET_AUXDATA control message.
var auxControlLen = unix.CmsgSpace(int(unsafe.Sizeof(unix.TpacketAuxdata{})))

// messages are the arguments of recvmmsg(2) or sendmmsg(2) for one batch. Each message is a virtio-net header and a frame.
type messages struct {
	headers  [vswitch.BatchSize][vnet.Size]byte
	vec      [vswitch.BatchSize][2]unix.Iovec
	msgs     [vswitch.BatchSize]descriptor.Message
	peek     descriptor.Message // one that takes the virtio-net header alone
	peekVec  unix.Iovec
	peeked   [vnet.Size]byte
	slots    []byte // receive buffers
	distance int    // of two receive buffers in bytes
	room     int    // for a frame in one, in bytes
	controls []byte // receive control messages
}

func newMessages() *messages {
	m := &messages{}
	for i := range m.msgs {
		m.vec[i][0].Base = &m.headers[i][0]
		m.vec[i][0].SetLen(vnet.Size)
		m.msgs[i].Iov = &m.vec[i][0]
		m.msgs[i].SetIovlen(2)
	}
	return m
}

func newReceiveMessages() *messages {
	return newMessagesOf(vswitch.BatchSize, vswitch.MaxFrame, slotLen)
}

// newMessagesOf returns messages that receive count frames of up to room bytes.
func newMessagesOf(count, room, distance int) *messages {
	m := newMessages()
	m.distance, m.room = distance, room
	m.slots = make([]byte, count*distance)
	m.controls = make([]byte, count*auxControlLen)
	for i := range count {
		m.vec[i][1].Base = &m.slots[i*distance+vlanRoom]
		m.vec[i][1].SetLen(room)
		m.msgs[i].Control = &m.controls[i*auxControlLen]
	}
	m.peekVec.Base = &m.peeked[0] // not the header of a message, which may be one of a frame that is in the batch already
	m.peekVec.SetLen(vnet.Size)
	m.peek.Iov = &m.peekVec
	m.peek.SetIovlen(1)
	return m
}

// receive receives up to n messages, without waiting.
func (m *messages) receive(fd uintptr, n int) (int, syscall.Errno) { return m.receiveAt(fd, 0, n) }

// receiveAt receives into the messages with the indexes from to to-1.
func (m *messages) receiveAt(fd uintptr, from, to int) (int, syscall.Errno) {
	for i := from; i < to; i++ {
		m.msgs[i].SetControllen(auxControlLen) // the previous call has overwritten it
	}
	return descriptor.ReceiveMessages(fd, m.msgs[from:to])
}

// receiveBare receives one frame from a socket that has no virtio-net headers at the time. It reports whether the frame's checksum is left to be
// completed. A frame that lacks its VLAN tag, or its end, counts as EINVAL.
func (m *messages) receiveBare(fd uintptr) (data []byte, partial bool, err syscall.Errno) {
	msg := &m.msgs[0]
	msg.Iov = &m.vec[0][1]
	msg.SetIovlen(1)
	_, err = m.receive(fd, 1)
	msg.Iov = &m.vec[0][0]
	msg.SetIovlen(2)
	if err != 0 {
		return nil, false, err
	}
	aux, ok := m.aux(0)
	if _, _, tagged := m.vlan(0); !ok || tagged || msg.Flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return nil, false, unix.EINVAL
	}
	return m.slots[vlanRoom : vlanRoom+int(msg.Length) : vlanRoom+m.room], aux.Status&unix.TP_STATUS_CSUMNOTREADY != 0, 0
}

// frame returns the received frame i with its VLAN tag restored; its capacity ends with its buffer. If the message is not a whole frame,
// frame reports the drop reason: the frame was truncated, the message is shorter than a virtio-net header, or the control message was
// truncated, so that a VLAN tag may be lost.
func (m *messages) frame(i int) (data []byte, reason vswitch.Reason, bad bool) {
	msg := &m.msgs[i]
	n := int(msg.Length) - vnet.Size
	switch {
	case msg.Flags&unix.MSG_TRUNC != 0:
		return nil, vswitch.Truncated, true
	case n < 0:
		return nil, vswitch.Short, true
	case msg.Flags&unix.MSG_CTRUNC != 0:
		return nil, vswitch.ReceiveError, true
	}
	start := i*m.distance + vlanRoom
	end := start + m.room
	data = m.slots[start : start+n : end]
	protocol, tag, tagged := m.vlan(i)
	if !tagged || n < 12 {
		return data, 0, false
	}
	if n+vlanRoom > m.room {
		return nil, vswitch.Truncated, true
	}
	data = m.slots[start-vlanRoom : start+n : end-vlanRoom]
	copy(data, data[vlanRoom:vlanRoom+12])
	binary.BigEndian.PutUint16(data[12:], protocol)
	binary.BigEndian.PutUint16(data[14:], tag)
	header := &m.headers[i]
	if h := vnet.Decode(header[:]); h.Flags&vnet.FlagNeedsChecksum != 0 || h.GSOType != vnet.GSONone {
		h.CsumStart += vlanRoom
		h.HdrLen += vlanRoom
		h.Encode(header[:])
	}
	return data, 0, false
}

// vlan returns the VLAN tag that the kernel has removed from frame i (packet(7), PACKET_AUXDATA).
func (m *messages) vlan(i int) (protocol, tag uint16, tagged bool) {
	aux, ok := m.aux(i)
	if !ok || aux.Status&unix.TP_STATUS_VLAN_VALID == 0 {
		return 0, 0, false
	}
	if aux.Status&unix.TP_STATUS_VLAN_TPID_VALID == 0 {
		return unix.ETH_P_8021Q, aux.Vlan_tci, true
	}
	return aux.Vlan_tpid, aux.Vlan_tci, true
}

// aux returns what the kernel says about frame i beside its virtio-net header.
func (m *messages) aux(i int) (*unix.TpacketAuxdata, bool) {
	if int(m.msgs[i].Controllen) < unix.CmsgLen(int(unsafe.Sizeof(unix.TpacketAuxdata{}))) {
		return nil, false
	}
	control := m.controls[i*auxControlLen:]
	header := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if header.Level != unix.SOL_PACKET || header.Type != unix.PACKET_AUXDATA {
		return nil, false
	}
	return (*unix.TpacketAuxdata)(unsafe.Pointer(&control[unix.CmsgLen(0)])), true
}

// set makes message i send f, whose memory is in use until the send.
func (m *messages) set(i int, f *vswitch.Frame) {
	f.Offload.Encode(m.headers[i][:])
	m.vec[i][1].Base = &f.Data[0]
	m.vec[i][1].SetLen(len(f.Data))
}

// forget removes the references to the frames of the first n messages, which may be another port's memory.
func (m *messages) forget(n int) {
	for i := range n {
		m.vec[i][1].Base = nil
	}
}

// send sends the messages with the indexes from to to-1, without waiting, and returns how many the kernel has accepted.
func (m *messages) send(fd uintptr, from, to int) (int, syscall.Errno) {
	return descriptor.SendMessages(fd, m.msgs[from:to])
}
