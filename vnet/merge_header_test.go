package vnet_test

import (
	"encoding/binary"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// TestMergeHeaders lists offload headers of two datagrams of one run. The datagrams are merged only if both headers are the same, and one that
// a frame to segment can have.
func TestMergeHeaders(t *testing.T) {
	whole, verified, unfinished := nothing.header(packet{protocol: udp}), valid.header(packet{protocol: udp}), undone.header(packet{protocol: udp})
	change := func(f func(*vnet.Header)) vnet.Header {
		h := unfinished
		f(&h)
		return h
	}
	for _, test := range []struct {
		name          string
		first, second vnet.Header
		want          bool
	}{
		{"complete", whole, whole, true},
		{"verified", verified, verified, true},
		{"unfinished", unfinished, unfinished, true},
		{"complete and verified", whole, verified, false},
		{"complete and unfinished", whole, unfinished, false},
		{"unfinished and verified", unfinished, verified, false},
		{"both flags", change(func(h *vnet.Header) { h.Flags |= vnet.FlagDataValid }), vnet.Header{}, false},
		{"an unknown flag", change(func(h *vnet.Header) { h.Flags |= 4 }), vnet.Header{}, false},
		{"the checksum of TCP", undone.header(packet{protocol: tcp}), vnet.Header{}, false},
		{"a checksum within the packet", change(func(h *vnet.Header) { h.CsumStart = 42 }), vnet.Header{}, false},
		{"a frame to segment", change(func(h *vnet.Header) { h.GSOType, h.GSOSize, h.HdrLen = vnet.GSOUDPL4, 50, 42 }), vnet.Header{}, false},
	} {
		s := nothing
		if test.first.Flags&vnet.FlagNeedsChecksum != 0 {
			s = undone
		}
		frames := pieces(t, packet{protocol: udp, fragment: df, payload: 200}, 100)
		s.put(packet{protocol: udp}, frames[0])
		s.put(packet{protocol: udp}, frames[1])
		if test.second == (vnet.Header{}) && test.first != whole {
			test.second = test.first
		}
		run := vnet.Run{Datagrams: true}
		run.Start(test.first, append(make([]byte, 0, 1<<16), frames[0]...))
		if got := run.Add(test.second, frames[1]); got != test.want {
			t.Errorf("%s: merged %t, want %t", test.name, got, test.want)
		}
		if h, _ := run.Frame(); !test.want && h != test.first {
			t.Errorf("%s: the header is %+v, want %+v", test.name, h, test.first)
		}
	}
}

// TestMergeDatagrams merges datagrams and checks every field that a receiver uses. Without Run.Datagrams, none are merged.
func TestMergeDatagrams(t *testing.T) {
	frames := pieces(t, packet{protocol: udp, fragment: df, payload: 50, id: 7}, 18)
	for _, leave := range []bool{true, false} {
		run := vnet.Run{Datagrams: leave}
		run.Start(vnet.Header{}, append(make([]byte, 0, 1000), frames[0]...))
		if got := run.Add(vnet.Header{}, frames[1]); got != leave {
			t.Fatalf("merged %t, want %t", got, leave)
		}
		if !leave {
			continue
		}
		if !run.Add(vnet.Header{}, frames[2]) || run.Add(vnet.Header{}, frames[2]) {
			t.Error("a datagram after a shorter one was merged")
		}
		h, f := run.Frame()
		want := vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOUDPL4, HdrLen: 42, GSOSize: 18, CsumStart: 34, CsumOffset: 6}
		checked := h
		if h != want || !vnet.Check(&checked, f) || checked != want {
			t.Errorf("the header is %+v, and %+v once checked; want %+v", h, checked, want)
		}
		pseudo := append(append([]byte{}, f[26:34]...), 0, udp, 0, 58)
		if len(f) != 92 || f[17] != 78 || f[39] != 58 || binary.BigEndian.Uint16(f[40:]) != slowSum(pseudo) || slowSum(f[14:34]) != 0xffff {
			t.Errorf("the frame is %x", f)
		}
	}
}

// TestMergeWithoutChecksum shows that datagrams without a checksum do not get one.
func TestMergeWithoutChecksum(t *testing.T) {
	for s := nothing; s < kinds; s++ {
		for which := range 2 {
			frames := pieces(t, packet{protocol: udp, fragment: df, payload: 200}, 100)
			for i, f := range frames {
				s.put(packet{protocol: udp}, f)
				if i == which {
					f[40], f[41] = 0, 0
				}
			}
			if got := restore(t, s, packet{protocol: udp}, frames); got != 2 {
				t.Errorf("%+v: datagram %d has no checksum, and was merged", s.header(packet{protocol: udp}), which)
			}
		}
	}
}

// TestMergeAllocs shows that merging does not allocate.
func TestMergeAllocs(t *testing.T) {
	buffer := make([]byte, 0, 64<<10)
	for _, p := range flows {
		p.payload = 30 * 1000
		frames := pieces(t, p, 1000)
		if n := testing.AllocsPerRun(100, func() { mergeAll(t, buffer, vnet.Header{}, frames) }); n != 0 {
			t.Errorf("%+v: %v allocations for a run", p, n)
		}
	}
}

// mergeAll merges the frames of one run.
func mergeAll(t testing.TB, buffer []byte, h vnet.Header, frames [][]byte) {
	run := vnet.Run{Datagrams: true}
	run.Start(h, append(buffer, frames[0]...))
	for _, f := range frames[1:] {
		if !run.Add(h, f) {
			t.Fatal("not merged")
		}
	}
	run.Frame()
}

// BenchmarkMerge merges batches of 32 frames, for each state of their checksums.
func BenchmarkMerge(b *testing.B) {
	for _, bench := range []struct {
		name string
		flow packet
		size int
	}{
		{"segments of 1448 bytes", flows[0], 1448}, {"datagrams of 1448 bytes", flows[1], 1448}, {"datagrams of 18 bytes", flows[1], 18},
		{"segments of 1428 bytes, IPv6", flows[2], 1428}, {"datagrams of 1428 bytes, IPv6", flows[3], 1428}, {"datagrams of 18 bytes, IPv6", flows[3], 18},
	} {
		for s := nothing; s < kinds; s++ {
			name := [...]string{"complete", "verified", "unfinished"}[s]
			b.Run(bench.name+", "+name, func(b *testing.B) {
				p := bench.flow
				p.payload = 32 * bench.size
				frames := pieces(b, p, uint16(bench.size))
				for _, f := range frames {
					s.put(p, f)
				}
				buffer := make([]byte, 0, 64<<10)
				b.SetBytes(int64(32 * bench.size))
				b.ReportAllocs()
				for b.Loop() {
					mergeAll(b, buffer, s.header(p), frames)
				}
				perFrame(b)
			})
		}
	}
}

// BenchmarkMergeNothing processes batches of 32 frames that cannot be merged.
func BenchmarkMergeNothing(b *testing.B) {
	for name, change := range map[string]func(i int, frame []byte){
		"of other flows":       func(i int, frame []byte) { frame[36] = byte(i) },
		"of one flow, alike":   func(_ int, frame []byte) { frame[18], frame[19] = 0, 0 },
		"of one flow, smaller": func(_ int, frame []byte) { frame[39]-- },
		"ARP":                  func(_ int, frame []byte) { frame[13] = 6 },
	} {
		b.Run(name, func(b *testing.B) {
			frames := pieces(b, packet{protocol: udp, fragment: df, payload: 32 * 18}, 18)
			for i, f := range frames {
				change(i, f)
			}
			b.ReportAllocs()
			for b.Loop() {
				run := vnet.Run{Datagrams: true}
				run.Start(vnet.Header{}, frames[0])
				for _, f := range frames[1:] {
					if run.Add(vnet.Header{}, f) {
						b.Fatal("merged")
					}
					run.Frame()
					run.Start(vnet.Header{}, f)
				}
			}
			perFrame(b)
		})
	}
}

// perFrame reports the time for each of 32 frames.
func perFrame(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/frame")
}
