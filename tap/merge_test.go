package tap

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// udpFrame returns an Ethernet frame of count UDP datagrams of size bytes, still to be cut, with the IP identification of the first one.
func udpFrame(count, size int, id uint16) vswitch.Frame {
	f := tcpFrame(count*size - 12) // in place of the longer header
	f.Data[23] = 17
	ip, udp := f.Data[14:34], f.Data[34:]
	binary.BigEndian.PutUint16(ip[4:], id)
	dontFragment(f.Data)
	for i := range udp {
		udp[i] = byte(i * 7)
	}
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	binary.BigEndian.PutUint16(udp[6:], vnet.Sum(nil, vnet.PseudoSum(ip[12:16], ip[16:20], 17, len(udp))))
	f.Offload = vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOUDPL4, GSOSize: uint16(size), HdrLen: 42, CsumStart: 34, CsumOffset: 6}
	return f
}

// cutUp returns the frames into which frames are cut on the wire.
func cutUp(frames ...vswitch.Frame) (pieces []vswitch.Frame) {
	for _, f := range frames {
		segments := vnet.Cut(f.Offload, f.Data)
		for {
			piece := make([]byte, vnet.WireLen(f.Offload, f.Data))
			n := segments.Next(piece)
			if n == 0 {
				break
			}
			pieces = append(pieces, vswitch.Frame{Data: piece[:n]})
		}
	}
	return pieces
}

// TestMerge receives datagrams with other frames between them: datagrams that continue one another become one frame, in the order of
// their arrival, if the kernel accepts such a frame.
func TestMerge(t *testing.T) {
	large, next := udpFrame(10, 18, 65530), udpFrame(10, 18, 4)
	large6 := overIPv6(large)
	alone := vswitch.Frame{Data: make([]byte, 60)}
	for _, test := range []struct {
		name   string
		what   Merging
		arrive []vswitch.Frame
		want   []vswitch.Frame
	}{
		{"a run", MergeDatagrams, cutUp(large), []vswitch.Frame{large}},
		{"a run, and the kernel does not take it", MergeSegments, cutUp(large), cutUp(large)},
		{"runs with something between", MergeDatagrams, append(append(cutUp(large), alone), cutUp(large)...), []vswitch.Frame{large, alone, large}},
		{"what is alone before a run", MergeDatagrams, append([]vswitch.Frame{alone, alone}, cutUp(large)...), []vswitch.Frame{alone, alone, large}},
		{"one after the other from new", MergeDatagrams, cutUp(large, large), []vswitch.Frame{large, large}},
		{"a run, and nothing is to be merged", MergeNothing, cutUp(large), cutUp(large)},
		{"one frame", MergeDatagrams, cutUp(large)[:1], cutUp(large)[:1]},
		{"what was merged before", MergeDatagrams, []vswitch.Frame{large, next}, []vswitch.Frame{large, next}},
		{"a run of IPv6", MergeDatagrams, cutUp(large6), []vswitch.Frame{large6}},
		{"a run of each family", MergeDatagrams, cutUp(large, large6, large), []vswitch.Frame{large, large6, large}},
	} {
		m := &mergingPort{&player{frames: inOneBuffer(test.arrive)}, test.what, nil}
		batch := make([]vswitch.Frame, vswitch.BatchSize)
		n, err := m.Receive(batch)
		if err != nil || n != len(test.want) {
			t.Errorf("%s: %d frames, %v; want %d", test.name, n, err, len(test.want))
			continue
		}
		for i, want := range test.want {
			if batch[i].Offload != want.Offload || !bytes.Equal(batch[i].Data, want.Data) {
				t.Errorf("%s: frame %d is %+v\n%x, want %+v\n%x", test.name, i, batch[i].Offload, batch[i].Data, want.Offload, want.Data)
			}
		}
		for i, f := range batch[n:] {
			if f.Data != nil {
				t.Errorf("%s: entry %d behind the frames holds memory", test.name, n+i)
			}
		}
	}
}

// inOneBuffer lays frames out one behind the other, as a tap's port does.
func inOneBuffer(frames []vswitch.Frame) (moved []vswitch.Frame) {
	buffer := make([]byte, 0, 1<<20)
	for _, f := range frames {
		buffer = append(buffer, f.Data...)
		moved = append(moved, vswitch.Frame{Offload: f.Offload, Data: buffer[len(buffer)-len(f.Data):]})
	}
	return moved
}

// TestMergeFails passes an error on.
func TestMergeFails(t *testing.T) {
	m := &mergingPort{Port: broken{}}
	if n, err := m.Receive(make([]vswitch.Frame, 4)); n != 0 || err != io.ErrUnexpectedEOF {
		t.Errorf("Receive = %d, %v", n, err)
	}
}

// A broken port's Receive returns an error.
type broken struct{ vswitch.Port }

func (broken) Receive([]vswitch.Frame) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestMergeRoom: the capacity of a packet socket's frame ends before the next frame's buffer.
func TestMergeRoom(t *testing.T) {
	m := newReceiveMessages()
	received(m, make([]byte, vnet.Size), make([]byte, 60), nil, 0)
	data, _, _ := m.frame(0)
	if len(data) != 60 || cap(data) != vswitch.MaxFrame || vlanRoom+cap(data) > slotLen {
		t.Errorf("%d bytes with room for %d, in a slot of %d", len(data), cap(data), slotLen)
	}
}

// needDatagrams skips a test where the kernel does not cut merged datagrams right.
func needDatagrams(t *testing.T) {
	t.Helper()
	var missing error
	inNamespace(t, func(*testing.T) { _, missing = Mergeable() })
	if missing != nil {
		t.Skip(missing)
	}
}

// TestMergeDevices sends datagrams through each pair of ports, with and without a complete checksum. They arrive in fewer frames, with
// every byte unchanged; and so they do when they leave in one frame.
func TestMergeDevices(t *testing.T) {
	needDatagrams(t)
	for _, offload := range []bool{true, false} {
		inNamespace(t, func(t *testing.T) {
			for _, pair := range openPairs(t, offload) {
				for _, family := range bothFamilies {
					whole := family.of(udpFrame(30, 100, 65500))
					for _, sent := range [][]vswitch.Frame{cutUp(whole), unfinished(whole, family.transport), {whole}} {
						pair[0].Transmit(sent)
						if frames := expectDatagrams(t, pair[1], cutUp(whole)); frames > 15 {
							t.Errorf("%s, offload %t, %d frames sent: 30 datagrams arrived as %d frames", family.name, offload, len(sent), frames)
						}
					}
				}
			}
		})
	}
}

// unfinished returns the datagrams of a frame with their checksums to complete.
func unfinished(whole vswitch.Frame, transport int) []vswitch.Frame {
	pieces := cutUp(whole)
	for i := range pieces {
		f := &pieces[i]
		source := 26
		if transport == 54 {
			source = 22
		}
		middle := (source + transport) / 2
		pseudo := vnet.PseudoSum(f.Data[source:middle], f.Data[middle:transport], 17, len(f.Data)-transport)
		binary.BigEndian.PutUint16(f.Data[transport+6:], vnet.Sum(nil, pseudo))
		f.Offload = vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: uint16(transport), CsumOffset: 6}
	}
	return pieces
}

// TestKernelCuts has the kernel cut a frame of several datagrams, for a tap without offloads: the result equals that of package vnet.
func TestKernelCuts(t *testing.T) {
	needDatagrams(t)
	inNamespace(t, func(t *testing.T) {
		device := open(t, Spec{KindTap, "tap9"}, false).(interface{ Unwrap() vswitch.Port }).Unwrap()
		ip(t, "link set tap9 up")
		kernel := open(t, Spec{KindPacket, "tap9"}, true)
		for _, large := range []vswitch.Frame{udpFrame(64, 18, 65500), udpFrame(40, 1400, 7)} {
			large.Data = large.Data[:len(large.Data)-1] // the last one is shorter
			binary.BigEndian.PutUint16(large.Data[16:], uint16(len(large.Data)-14))
			binary.BigEndian.PutUint16(large.Data[38:], uint16(len(large.Data)-34))
			binary.BigEndian.PutUint16(large.Data[40:], vnet.Sum(nil, vnet.PseudoSum(large.Data[26:30], large.Data[30:34], 17, len(large.Data)-34)))
			dontFragment(large.Data)
			for _, family := range bothFamilies {
				sent := family.of(large)
				kernel.Transmit([]vswitch.Frame{sent})
				want := cutUp(sent)
				if frames := expectDatagrams(t, device, want); frames != len(want) {
					t.Errorf("%s: the kernel cut into %d frames, want %d", family.name, frames, len(want))
				}
			}
		}
	})
}

// expectDatagrams receives the datagrams in order and compares every byte, and returns the number of frames that they arrived in. It
// ignores the kernel's own frames.
func expectDatagrams(t *testing.T, p vswitch.Port, want []vswitch.Frame) (frames int) {
	t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { p.Close() })
	defer timer.Stop()
	batch := make([]vswitch.Frame, vswitch.BatchSize)
	for at := 0; at < len(want); {
		n, err := p.Receive(batch)
		if err != nil {
			t.Fatalf("after %d datagrams: %v", at, err)
		}
		for _, f := range batch[:n] {
			if len(f.Data) < 42 || !bytes.Equal(f.Data[:15], want[0].Data[:15]) || f.Data[23] != want[0].Data[23] {
				continue
			}
			frames++
			if !vnet.Check(&f.Offload, f.Data) {
				t.Fatalf("%+v is refused", f.Offload)
			}
			for _, piece := range cutUp(f) {
				if at == len(want) || !bytes.Equal(piece.Data, want[at].Data) {
					t.Fatalf("datagram %d arrives as\n%x", at, piece.Data)
				}
				at++
			}
		}
	}
	return frames
}

// BenchmarkMerge merges batches of 32 small datagrams of one flow, and passes batches of 32 flows.
func BenchmarkMerge(b *testing.B) {
	for name, port := range map[string]func(i int) byte{
		"one flow":    func(int) byte { return 0 },
		"other flows": func(i int) byte { return byte(i) },
	} {
		b.Run(name, func(b *testing.B) {
			frames := inOneBuffer(cutUp(udpFrame(32, 18, 0)))
			for i := range frames {
				frames[i].Offload = vnet.Header{Flags: vnet.FlagDataValid}
				frames[i].Data[35] += port(i)
			}
			m := &mergingPort{&player{frames: frames}, MergeDatagrams, nil}
			batch := make([]vswitch.Frame, vswitch.BatchSize)
			buffer := frames[0].Data[:32*60]
			original := bytes.Clone(buffer)
			b.ReportAllocs()
			for b.Loop() {
				copy(buffer, original)
				_, _ = m.Receive(batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/frame")
		})
	}
}
