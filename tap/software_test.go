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

// overIPv6 returns a frame of tcpFrame or udpFrame with an IPv6 header in place of the IPv4 header.
func overIPv6(f vswitch.Frame) vswitch.Frame {
	segment := f.Data[34:]
	data := append(bytes.Clone(f.Data[:12]), 0x86, 0xdd, 0x60, 0x01, 0x23, 0x45, byte(len(segment)>>8), byte(len(segment)), f.Data[23], 64)
	data = append(data, "\xfd\x00source addr ess\xfd\x01destin. address"[:32]...)
	data = append(data, segment...)
	h := f.Offload
	if h.Flags&vnet.FlagNeedsChecksum != 0 {
		pseudo := vnet.PseudoSum(data[22:38], data[38:54], data[20], len(segment))
		binary.BigEndian.PutUint16(data[54+h.CsumOffset:], vnet.Sum(nil, pseudo))
		h.CsumStart = 54
	}
	if h.GSOType != vnet.GSONone {
		h.HdrLen += 20
	}
	if h.GSOType == vnet.GSOTCPv4 {
		h.GSOType = vnet.GSOTCPv6
	}
	return vswitch.Frame{Offload: h, Data: data}
}

// bothFamilies are the IP versions for tests: a name, the change of an IPv4 frame, and the offset of its transport header.
var bothFamilies = []struct {
	name      string
	of        func(vswitch.Frame) vswitch.Frame
	transport int
}{
	{"IPv4", func(f vswitch.Frame) vswitch.Frame { return f }, 34},
	{"IPv6", overIPv6, 54},
}

// TestSoftware: frames leave complete and in order, and the batch stays unchanged.
func TestSoftware(t *testing.T) {
	for _, family := range bothFamilies {
		r := &recorder{}
		p := WithSoftwareOffloads(r, MergeDatagrams)
		plain := vswitch.Frame{Data: make([]byte, 60)}
		partial, large := family.of(tcpFrame(100)), tcpFrame(60000)
		large.Offload.GSOType, large.Offload.GSOSize, large.Offload.HdrLen = vnet.GSOTCPv4, 1400, 54
		large = family.of(large)
		datagrams := family.of(udpFrame(42, 1400, 0))
		batch := []vswitch.Frame{plain, partial, large, large, large, datagrams, plain}
		before := bytes.Clone(large.Data)
		p.Transmit(batch)
		segments := (60000 + 1399) / 1400
		if want := 3 + 3*segments + 42; len(r.frames) != want {
			t.Fatalf("%s: %d frames, want %d", family.name, len(r.frames), want)
		}
		if !bytes.Equal(before, large.Data) {
			t.Errorf("%s: the batch was changed", family.name)
		}
		for i, f := range r.frames[1 : len(r.frames)-1] {
			if !isComplete(f, family.transport) {
				t.Fatalf("%s: frame %d: the checksum does not verify", family.name, i+1)
			}
		}
		var payload []byte
		for _, f := range r.frames[2 : 2+segments] {
			payload = append(payload, f[family.transport+20:]...)
		}
		if !bytes.Equal(payload, large.Data[family.transport+20:]) {
			t.Errorf("%s: the segments of a large frame do not add up to it", family.name)
		}
	}
}

// isComplete reports whether the checksum of a TCP or UDP frame with its transport header at an offset is right.
func isComplete(f []byte, transport int) bool {
	source, protocol := 26, f[23]
	if transport == 54 {
		source, protocol = 22, f[20]
	}
	middle := (source + transport) / 2
	return vnet.Checksum(f[transport:], vnet.PseudoSum(f[source:middle], f[middle:transport], protocol, len(f)-transport)) == 0
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
	for _, family := range bothFamilies {
		r := &recorder{}
		cutter := WithSoftwareOffloads(r, MergeDatagrams)
		large := tcpFrame(10000)
		dontFragment(large.Data)
		large.Data[47] = 0x10 // ACK
		large.Offload.GSOType, large.Offload.GSOSize, large.Offload.HdrLen = vnet.GSOTCPv4, 1400, 54
		large = family.of(large)
		arp := vswitch.Frame{Data: make([]byte, 60)}
		cutter.Transmit([]vswitch.Frame{large, arp, large})
		source := &player{}
		buffer := make([]byte, 0, 1<<20)
		for _, f := range r.frames {
			buffer = append(buffer, f...)
			source.frames = append(source.frames, vswitch.Frame{Data: buffer[len(buffer)-len(f):]})
		}
		unfinished := family.of(tcpFrame(1400))
		source.frames = append(source.frames, unfinished, unfinished)
		p := WithSoftwareOffloads(source, MergeDatagrams)
		batch := make([]vswitch.Frame, vswitch.BatchSize)
		n, err := p.Receive(batch)
		if err != nil || n != 5 {
			t.Fatalf("%s: %d frames, %v; want 5", family.name, n, err)
		}
		for i, want := range []vswitch.Frame{large, arp, large, unfinished, unfinished} {
			if got := batch[i]; len(got.Data) != len(want.Data) || got.Offload != want.Offload {
				t.Errorf("%s: frame %d has %d bytes and %+v, want %d and %+v", family.name, i, len(got.Data), got.Offload, len(want.Data), want.Offload)
			}
		}
		if !bytes.Equal(batch[0].Data, large.Data) {
			t.Errorf("%s: the merged frame has other bytes", family.name)
		}
	}
}
