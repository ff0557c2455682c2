package tap

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A recorder is a port that keeps what is transmitted.
type recorder struct {
	vswitch.Port
	frames [][]byte
}

func (r *recorder) Transmit(batch []vswitch.Frame) {
	for _, f := range batch {
		if f.Offload != (vnet.Header{}) {
			panic("a frame with something left to do")
		}
		r.frames = append(r.frames, bytes.Clone(f.Data))
	}
}

// tcpFrame returns an Ethernet frame with a TCP segment of that many payload bytes and an incomplete checksum.
func tcpFrame(payload int) vswitch.Frame {
	data := make([]byte, 14+20+20+payload)
	copy(data, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45})
	ip, tcp := data[14:34], data[34:]
	binary.BigEndian.PutUint16(ip[2:], uint16(len(data)-14))
	ip[8], ip[9] = 64, 6
	copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(ip[10:], vnet.Checksum(ip, 0))
	tcp[12] = 5 << 4
	for i := range payload {
		tcp[20+i] = byte(i * 7)
	}
	binary.BigEndian.PutUint16(tcp[16:], vnet.Sum(nil, vnet.PseudoSum(ip[12:16], ip[16:20], 6, len(tcp))))
	h := vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: 34, CsumOffset: 16}
	return vswitch.Frame{Offload: h, Data: data}
}

// dontFragment sets the DF flag of an IPv4 frame.
func dontFragment(frame []byte) {
	ip := frame[14:34]
	ip[6], ip[10], ip[11] = 0x40, 0, 0
	binary.BigEndian.PutUint16(ip[10:], vnet.Checksum(ip, 0))
}

// TestSoftware: frames leave complete and in order, and the batch stays unchanged.
func TestSoftware(t *testing.T) {
	r := &recorder{}
	p := WithSoftwareOffloads(r, MergeDatagrams)
	plain := vswitch.Frame{Data: make([]byte, 60)}
	partial, large := tcpFrame(100), tcpFrame(60000)
	large.Offload.GSOType, large.Offload.GSOSize, large.Offload.HdrLen = vnet.GSOTCPv4, 1400, 54
	batch := []vswitch.Frame{plain, partial, large, large, large, plain}
	before := bytes.Clone(large.Data)
	p.Transmit(batch)
	segments := (60000 + 1399) / 1400
	if want := 3 + 3*segments; len(r.frames) != want {
		t.Fatalf("%d frames, want %d", len(r.frames), want)
	}
	if !bytes.Equal(before, large.Data) {
		t.Error("the batch was changed")
	}
	for i, f := range r.frames[1 : len(r.frames)-1] {
		tcp := f[34:]
		if sum := vnet.Checksum(tcp, vnet.PseudoSum(f[26:30], f[30:34], 6, len(tcp))); sum != 0 {
			t.Fatalf("frame %d: the checksum does not verify", i+1)
		}
	}
	var payload []byte
	for _, f := range r.frames[2 : 2+segments] {
		payload = append(payload, f[54:]...)
	}
	if !bytes.Equal(payload, large.Data[54:]) {
		t.Error("the segments of a large frame do not add up to it")
	}
}

// A player is a port that receives the given frames, from one buffer.
type player struct {
	vswitch.Port
	frames []vswitch.Frame
}

func (p *player) Receive(batch []vswitch.Frame) (int, error) { return copy(batch, p.frames), nil }

// TestSoftwareMerge receives segments of two connections and other frames: consecutive segments of a connection become one frame, in the
// order of their arrival.
func TestSoftwareMerge(t *testing.T) {
	r := &recorder{}
	cutter := WithSoftwareOffloads(r, MergeDatagrams)
	large := tcpFrame(10000)
	dontFragment(large.Data)
	large.Data[47] = 0x10 // ACK
	large.Offload.GSOType, large.Offload.GSOSize, large.Offload.HdrLen = vnet.GSOTCPv4, 1400, 54
	arp := vswitch.Frame{Data: make([]byte, 60)}
	cutter.Transmit([]vswitch.Frame{large, arp, large})
	source := &player{}
	buffer := make([]byte, 0, 1<<20)
	for _, f := range r.frames {
		buffer = append(buffer, f...)
		source.frames = append(source.frames, vswitch.Frame{Data: buffer[len(buffer)-len(f):]})
	}
	unfinished := tcpFrame(1400)
	source.frames = append(source.frames, unfinished, unfinished)
	p := WithSoftwareOffloads(source, MergeDatagrams)
	batch := make([]vswitch.Frame, vswitch.BatchSize)
	n, err := p.Receive(batch)
	if err != nil || n != 5 {
		t.Fatalf("%d frames, %v; want 5", n, err)
	}
	for i, want := range []vswitch.Frame{large, arp, large, unfinished, unfinished} {
		if got := batch[i]; len(got.Data) != len(want.Data) || got.Offload != want.Offload {
			t.Errorf("frame %d has %d bytes and %+v, want %d and %+v", i, len(got.Data), got.Offload, len(want.Data), want.Offload)
		}
	}
	if !bytes.Equal(batch[0].Data[54:], large.Data[54:]) {
		t.Error("the merged frame has another payload")
	}
}
