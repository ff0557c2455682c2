package vnet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

const (
	df = 0x4000
	mf = 0x2000
)

// split fragments a frame and returns the fragments.
func split(t testing.TB, frame []byte, mtu int) [][]byte {
	t.Helper()
	before := append([]byte(nil), frame...)
	fragments, ok := vnet.Split(frame, mtu)
	if !ok {
		t.Fatalf("a frame of %d bytes is rejected for an MTU of %d", len(frame), mtu)
	}
	var pieces [][]byte
	dst := make([]byte, 14+8+mtu)
	for n := fragments.Next(dst); n > 0; n = fragments.Next(dst) {
		pieces = append(pieces, append([]byte(nil), dst[:n]...))
	}
	if !fragments.Done() || !bytes.Equal(frame, before) {
		t.Fatal("not done, or the frame changed")
	}
	return pieces
}

// join reassembles the payload of fragments whose offsets begin at first bytes. It fails the test unless the fragments are in order, without
// gaps, with correct headers and within mtu.
func join(t testing.TB, network, mtu, first int, pieces [][]byte) (payload []byte, more bool) {
	t.Helper()
	for i, piece := range pieces {
		ip := piece[network:]
		headerLen := int(ip[0]&0xf) * 4
		field := binary.BigEndian.Uint16(ip[6:])
		if total := int(binary.BigEndian.Uint16(ip[2:])); total != len(ip) || total > mtu {
			t.Fatalf("fragment %d has a total length of %d and %d bytes; the MTU is %d", i, total, len(ip), mtu)
		}
		if sum := slowSum(ip[:headerLen]); sum != 0xffff {
			t.Fatalf("the header of fragment %d sums to %#04x, want 0xffff", i, sum)
		}
		if at := int(field&0x1fff) * 8; at != first+len(payload) {
			t.Fatalf("fragment %d is at %d, want %d", i, at, first+len(payload))
		}
		more = field&mf != 0
		if last := i == len(pieces)-1; !last && !more {
			t.Fatalf("fragment %d of %d has no more-fragments flag", i, len(pieces))
		}
		payload = append(payload, ip[headerLen:]...)
	}
	return payload, more
}

func TestSplitAndReassemble(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for i := range 400 {
		p := packet{protocol: udp, payload: random.IntN(9000), id: uint16(i)}
		mtu := 68 + random.IntN(3000)
		if i%3 == 0 {
			p.tags = twoTags[:1+i%2]
		}
		if i%4 == 0 {
			p.options = routerAlert
		}
		if i%5 == 0 {
			p.padding = 9
		}
		t.Run(fmt.Sprintf("%d/%d in %d", i, p.payload, mtu), func(t *testing.T) {
			frame := p.frame()
			pieces := split(t, frame, mtu)
			payload, more := join(t, p.network(), mtu, 0, pieces)
			if want := frame[p.transport() : len(frame)-p.padding]; !bytes.Equal(payload, want) || more {
				t.Errorf("the payload differs, or \"more fragments\" is %v", more)
			}
			for n, piece := range pieces {
				if !bytes.Equal(piece[:p.network()], frame[:p.network()]) || binary.BigEndian.Uint16(piece[p.network()+4:]) != p.id {
					t.Errorf("fragment %d has another Ethernet header or ID", n)
				}
			}
		})
	}
}

func TestSplitFragment(t *testing.T) {
	for _, more := range []bool{false, true} {
		p := packet{protocol: udp, payload: 1480 - 8, fragment: 185}
		if more {
			p.fragment |= mf
		}
		frame := p.frame()
		payload, goesOn := join(t, 14, 600, 185*8, split(t, frame, 600))
		if !bytes.Equal(payload, frame[34:]) || goesOn != more {
			t.Errorf("more fragments %v: the last one has %v, or the payload differs", more, goesOn)
		}
	}
}

// Options without the copied flag are in the first fragment only.
func TestSplitOptions(t *testing.T) {
	recordRoute := []byte{7, 7, 4, 0, 0, 0, 0}
	p := packet{protocol: udp, payload: 300}
	p.options = append(append(append([]byte{1}, recordRoute...), routerAlert...), 0, 0, 0, 0)
	pieces := split(t, p.frame(), 128)
	join(t, 14, 128, 0, pieces)
	for i, piece := range pieces {
		want := routerAlert
		if i == 0 {
			want = p.options
		}
		if got := piece[14+20 : 14+int(piece[14]&0xf)*4]; !bytes.Equal(got, want) {
			t.Errorf("fragment %d has options %x, want %x", i, got, want)
		}
	}
}

// A copied option of odd length is padded to a multiple of 4 bytes.
func TestSplitPadsOptions(t *testing.T) {
	p := packet{protocol: udp, payload: 300, options: []byte{0x83, 7, 4, 10, 0, 0, 1, 0}}
	pieces := split(t, p.frame(), 128)
	join(t, 14, 128, 0, pieces)
	if got := pieces[1][34:42]; !bytes.Equal(got, p.options) {
		t.Errorf("the second fragment has options %x, want %x", got, p.options)
	}
}

func TestSplitOfPacketThatFits(t *testing.T) {
	p := packet{protocol: udp, payload: 100, fragment: df, padding: 4}
	frame := p.frame()
	pieces := split(t, frame, 128)
	if len(pieces) != 1 || !bytes.Equal(pieces[0], frame[:len(frame)-p.padding]) {
		t.Errorf("%d bytes become %d pieces: %x", len(frame), len(pieces), pieces)
	}
}

func TestSplitRefuses(t *testing.T) {
	large := packet{protocol: udp, payload: 3000}
	with := func(change func(*packet)) []byte { p := large; change(&p); return p.frame() }
	badLength := large.frame()
	binary.BigEndian.PutUint16(badLength[16:], 0xffff)
	short := large.frame()
	binary.BigEndian.PutUint16(short[16:], 19)
	tests := []struct {
		name  string
		frame []byte
		mtu   int
	}{
		{"no frame", nil, 1500},
		{"IPv6", udp6.frame(), 1500},
		{"DF", with(func(p *packet) { p.fragment = df }), 1500},
		{"total length beyond the frame", badLength, 1500},
		{"total length within the header", short, 1500},
		{"MTU 0", large.frame(), 0},
		{"MTU below 8 bytes of payload", large.frame(), 27},
		{"MTU below 8 bytes behind the options", with(func(p *packet) { p.options = routerAlert }), 31},
		{"ends beyond 65535", with(func(p *packet) { p.fragment = 0x1fff }), 1500},
		{"more fragments after an odd length", with(func(p *packet) { p.fragment = mf; p.payload = 3001 }), 1500},
		{"option of length 0", with(func(p *packet) { p.options = []byte{7, 0, 0, 0} }), 1500},
		{"option beyond the header", with(func(p *packet) { p.options = []byte{7, 5, 0, 0} }), 1500},
		{"option without a length", with(func(p *packet) { p.options = []byte{1, 1, 1, 7} }), 1500},
	}
	for _, test := range tests {
		fragments, ok := vnet.Split(test.frame, test.mtu)
		if ok || !fragments.Done() {
			t.Errorf("%s: accepted", test.name)
		}
	}
}

func TestNextFragmentNeedsRoom(t *testing.T) {
	frame := packet{protocol: udp, payload: 3000}.frame()
	fragments, ok := vnet.Split(frame, 1500)
	if !ok {
		t.Fatal("rejected")
	}
	if n := fragments.Next(make([]byte, 1000)); n != 0 || fragments.Done() {
		t.Errorf("Next writes %d bytes into too small a buffer, and is done: %v", n, fragments.Done())
	}
	if n := fragments.Next(make([]byte, 1514)); n != 1514 {
		t.Errorf("then %d bytes, want 1514", n)
	}
}

func TestSplitDoesNotAllocate(t *testing.T) {
	frame := packet{protocol: udp, payload: 3000, options: routerAlert}.frame()
	dst := make([]byte, 2048)
	if n := testing.AllocsPerRun(100, func() {
		fragments, _ := vnet.Split(frame, 1500)
		for fragments.Next(dst) > 0 {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
