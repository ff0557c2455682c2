package vnet_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// Sum is correct for every alignment in memory and every length near the unrolled loops, with random and extreme bytes.
func TestSumMatchesSlowSum(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	fills := map[string]func() byte{
		"random": func() byte { return byte(random.Uint32()) },
		"ones":   func() byte { return 0xff },
		"zeros":  func() byte { return 0 },
	}
	for name, fill := range fills {
		memory := make([]byte, 512)
		for i := range memory {
			memory[i] = fill()
		}
		for alignment := range 16 {
			for n := range 300 {
				b := memory[alignment : alignment+n]
				if got, want := vnet.Sum(b, 0), slowSum(b); !sameSum(got, want) {
					t.Fatalf("%s, alignment %d, %d bytes: Sum is %#04x, want %#04x", name, alignment, n, got, want)
				}
				initial := random.Uint32()
				head := []byte{byte(initial >> 24), byte(initial >> 16), byte(initial >> 8), byte(initial)}
				want := slowSum(append(head, b...))
				if got := vnet.Checksum(b, initial); !sameSum(^got, want) {
					t.Fatalf("%s, alignment %d, %d bytes after %#x: Checksum is %#04x, want %#04x", name, alignment, n, initial, got, ^want)
				}
			}
		}
	}
}

// sameSum reports whether two ones' complement sums are equal: 0 and 0xffff are the same value.
func sameSum(a, b uint16) bool { return a == b || a%0xffff == b%0xffff }

// The example of RFC 1071, section 3, a common example of an IPv4 header, and the two forms of zero.
func TestChecksumGolden(t *testing.T) {
	tests := []struct {
		name    string
		b       []byte
		initial uint32
		want    uint16
	}{
		{"RFC 1071", []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0, 0x220d},
		{"IPv4 header", []byte("\x45\x00\x00\x73\x00\x00\x40\x00\x40\x11\x00\x00\xc0\xa8\x00\x01\xc0\xa8\x00\xc7"), 0, 0xb861},
		{"nothing", nil, 0, 0xffff},
		{"odd", []byte{0x12}, 0, 0xedff},
		{"initial", nil, 0x1fffe, 0},
		{"all ones", []byte{0xff, 0xff, 0xff, 0xff}, 0, 0},
	}
	for _, test := range tests {
		if got := vnet.Checksum(test.b, test.initial); got != test.want {
			t.Errorf("%s: %#04x, want %#04x", test.name, got, test.want)
		}
	}
}

func TestPseudoSum(t *testing.T) {
	source, destination := []byte{10, 0, 0, 1}, []byte{10, 0, 0, 255}
	want := slowSum([]byte{10, 0, 0, 1, 10, 0, 0, 255, 0, 17, 0x12, 0x34})
	if got := vnet.Sum(nil, vnet.PseudoSum(source, destination, udp, 0x1234)); got != want {
		t.Errorf("%#04x, want %#04x", got, want)
	}
	long := slowSum([]byte{10, 0, 0, 1, 10, 0, 0, 255, 0, 6, 0, 1, 0x12, 0x34})
	if got := vnet.Sum(nil, vnet.PseudoSum(source, destination, tcp, 0x11234)); got != long {
		t.Errorf("a length above 16 bits: %#04x, want %#04x", got, long)
	}
}

func TestUpdateChecksum(t *testing.T) {
	if got := vnet.UpdateChecksum(0xdd2f, 0x5555, 0x3285); got != 0x0000 {
		t.Errorf("the example of RFC 1624, section 4: %#04x, want 0x0000", got)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 10000 {
		b := make([]byte, 40)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		before := ^slowSum(b)
		at := random.IntN(20) * 2
		from := uint16(b[at])<<8 | uint16(b[at+1])
		to := uint16(random.Uint32())
		b[at], b[at+1] = byte(to>>8), byte(to)
		if got, want := vnet.UpdateChecksum(before, from, to), ^slowSum(b); got != want {
			t.Fatalf("%#04x with %#04x for %#04x: %#04x, want %#04x", before, to, from, got, want)
		}
	}
}

func BenchmarkChecksum(b *testing.B) {
	for _, size := range []int{20, 64, 1448, 65483} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			data := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				vnet.Checksum(data, 0)
			}
		})
	}
}
