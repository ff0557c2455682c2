package fuzz

import (
	"encoding/binary"
	"net/netip"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A reader reads the bytes of a fuzz input, and zeros after its end.
type reader struct{ left []byte }

// maxInput is the number of bytes of an input that are read at most. Seeds are shorter; the fuzzer often makes longer inputs, which are slow.
const maxInput = 1 << 14

func newReader(input []byte) *reader { return &reader{input[:min(len(input), maxInput)]} }

func (r *reader) done() bool { return len(r.left) == 0 }

func (r *reader) bytes(n int) []byte {
	b := make([]byte, n)
	r.left = r.left[copy(b, r.left):]
	return b
}

func (r *reader) byte() int   { return int(r.bytes(1)[0]) }
func (r *reader) word() int   { return int(binary.BigEndian.Uint16(r.bytes(2))) }
func (r *reader) number() int { return int(binary.BigEndian.Uint32(r.bytes(4))) }

// choose returns one element of a list; 0 selects the first.
func choose[T any](r *reader, list ...T) T { return list[r.byte()%len(list)] }

// mac returns one element of a list, or, after 0xff, any 6 bytes.
func (r *reader) mac(list ...vswitch.MAC) vswitch.MAC {
	i := r.byte()
	if i == 0xff {
		return vswitch.MAC(r.bytes(6))
	}
	return list[i%len(list)]
}

// ip returns one element of a list, or, after 0xff, any 4 bytes.
func (r *reader) ip(list ...netip.Addr) netip.Addr {
	i := r.byte()
	if i == 0xff {
		return netip.AddrFrom4([4]byte(r.bytes(4)))
	}
	return list[i%len(list)]
}

// ip6 returns one element of a list, or, after 0xff, any 16 bytes.
func (r *reader) ip6(list ...netip.Addr) []byte {
	i := r.byte()
	if i == 0xff {
		return r.bytes(16)
	}
	return list[i%len(list)].AsSlice()
}

func (r *reader) header() vnet.Header { return vnet.Decode(r.bytes(vnet.Size)) }

// A writer writes the input of a seed, which a reader reads.
type writer struct{ b []byte }

func (w *writer) byte(n ...int) {
	for _, n := range n {
		w.b = append(w.b, byte(n))
	}
}

func (w *writer) word(n int)   { w.b = binary.BigEndian.AppendUint16(w.b, uint16(n)) }
func (w *writer) number(n int) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(n)) }

func (w *writer) header(h vnet.Header) {
	b := make([]byte, vnet.Size)
	h.Encode(b)
	w.b = append(w.b, b...)
}
