package tap

import (
	"bytes"
	"encoding/binary"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// received stores a message at index 0 as recvmmsg(2) does.
func received(m *messages, header, frame, control []byte, flags int32) {
	copy(m.headers[0][:], header)
	copy(m.slots[vlanRoom:], frame)
	copy(m.controls, control)
	m.msgs[0].Length = uint32(len(header) + len(frame))
	m.msgs[0].Flags = flags
	m.msgs[0].SetControllen(len(control))
}

// auxdata is the control message of PACKET_AUXDATA.
func auxdata(aux unix.TpacketAuxdata, level, kind int32) []byte {
	size := int(unsafe.Sizeof(aux))
	b := make([]byte, unix.CmsgLen(size))
	*(*unix.Cmsghdr)(unsafe.Pointer(&b[0])) = unix.Cmsghdr{Len: uint64(len(b)), Level: level, Type: kind}
	copy(b[unix.CmsgLen(0):], unsafe.Slice((*byte)(unsafe.Pointer(&aux)), size))
	return b
}

// FuzzMessages: for any message and control message, the frame has the received bytes, with the VLAN tag restored and the offsets in its
// header adjusted.
func FuzzMessages(f *testing.F) {
	large := tcpFrame(100)
	header := make([]byte, vnet.Size)
	large.Offload.Encode(header)
	valid, tpid := uint32(unix.TP_STATUS_VLAN_VALID), uint32(unix.TP_STATUS_VLAN_TPID_VALID)
	for _, seed := range []struct {
		what   string
		frame  []byte
		status uint32
		tpid   uint16
		cut    byte // bytes missing from the control message
		flags  int32
	}{
		{"no tag", large.Data, 0, 0, 0, 0},
		{"a tag", large.Data, valid | tpid, 0x88a8, 0, 0},
		{"a tag without its protocol", large.Data, valid, 0, 0, 0},
		{"a tag for a frame without room for one", large.Data[:11], valid, 0, 0, 0},
		{"a tag for the shortest frame with room for one", large.Data[:12], valid, 0, 0, 0},
		{"nothing", nil, valid, 0, 0, 0},
		{"half a control message", large.Data, valid | tpid, 0x8100, 1, 0},
		{"no control message", large.Data, valid | tpid, 0x8100, 255, 0},
		{"cut off", large.Data, 0, 0, 0, unix.MSG_TRUNC},
		{"a tag, perhaps", large.Data, 0, 0, 0, unix.MSG_CTRUNC},
		{"a tag on the largest frame that has room for it", make([]byte, vswitch.MaxFrame-4), valid | tpid, 0x8100, 0, 0},
		{"a tag on a larger one", make([]byte, vswitch.MaxFrame-3), valid | tpid, 0x8100, 0, 0},
	} {
		f.Add(header, seed.frame, seed.status, uint16(5), seed.tpid, seed.cut, seed.flags, true)
	}
	f.Add(header[:5], []byte{}, uint32(0), uint16(0), uint16(0), byte(0), int32(0), true) // shorter than a header
	f.Add(header, large.Data, valid, uint16(5), uint16(0), byte(0), int32(0), false)      // another control message
	m := newReceiveMessages()
	f.Fuzz(func(t *testing.T, header, frame []byte, status uint32, tci, tpid uint16, cut byte, flags int32, ours bool) {
		header, frame = header[:min(len(header), vnet.Size)], frame[:min(len(frame), vswitch.MaxFrame)]
		if len(header) < vnet.Size {
			frame = nil // the kernel fills the header first
		}
		kind := int32(unix.PACKET_AUXDATA)
		if !ours {
			kind++
		}
		control := auxdata(unix.TpacketAuxdata{Status: status, Vlan_tci: tci, Vlan_tpid: tpid}, unix.SOL_PACKET, kind)
		control = control[:max(0, len(control)-int(cut))]
		received(m, header, frame, control, flags)
		data, _, bad := m.frame(0)
		hasTag := ours && cut == 0 && status&uint32(unix.TP_STATUS_VLAN_VALID) != 0 && len(frame) >= 12
		if want := flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || len(header) < vnet.Size || hasTag && len(frame) > vswitch.MaxFrame-4; bad != want || want {
			if bad != want || data != nil {
				t.Fatalf("bad %t with %d bytes, want %t", bad, len(data), want)
			}
			return
		}
		want, offload := bytes.Clone(frame), vnet.Decode(header)
		if hasTag {
			want, offload = tagged(want, offload, status, tci, tpid)
		}
		if cap(data) > vswitch.MaxFrame {
			t.Errorf("room for %d bytes", cap(data))
		}
		if !bytes.Equal(data, want) {
			t.Errorf("the frame is\n%x, want\n%x", data, want)
		}
		if got := vnet.Decode(m.headers[0][:]); got != offload {
			t.Errorf("the header is %+v, want %+v", got, offload)
		}
	})
}

// tagged is a frame with its tag, and its header.
func tagged(frame []byte, h vnet.Header, status uint32, tci, tpid uint16) ([]byte, vnet.Header) {
	if status&uint32(unix.TP_STATUS_VLAN_TPID_VALID) == 0 {
		tpid = 0x8100
	}
	tag := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, tpid), tci)
	if h.Flags&1 != 0 || h.GSOType != 0 {
		h.CsumStart += 4
		h.HdrLen += 4
	}
	return append(append(frame[:12:12], tag...), frame[12:]...), h
}
