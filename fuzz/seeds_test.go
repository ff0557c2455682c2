package fuzz

import (
	"fmt"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// There are four kinds of seeds: frames that made other switches and stacks crash (peers_test.go), states that need a sequence of steps (below,
// and tables_test.go), captures (seed_captures_test.go), and the scripts of testdata/switch and testdata/delegate, which are files with
// the same names in testdata/fuzz.

// A seed is a named input, without its configuration.
type seed struct {
	name  string
	steps func(w *writer)
}

// A namedInput is a seed with its configuration: the input of a target.
type namedInput struct {
	name  string
	input []byte
}

func (s seed) with(config int) namedInput {
	w := &writer{}
	w.byte(config)
	s.steps(w)
	return namedInput{fmt.Sprintf("%s, configuration %d", s.name, config), w.b}
}

func delegateSeeds(t testing.TB) (list []namedInput) {
	for _, s := range captured(t) {
		list = append(list, s.with(flannel), s.with(permanent+noGuestYet))
	}
	for _, p := range peers {
		for _, config := range []int{flannel, keptPorts, rules, noARP, smallMTU} {
			for port := range 4 {
				s := seed{fmt.Sprintf("%s, port %d", p.name, port), func(w *writer) { w.gateway(); w.peer(p, port) }}
				list = append(list, s.with(config))
			}
		}
	}
	for _, s := range states {
		for _, config := range []int{flannel, keptPorts, rules, noARP, smallMTU, noRoutes, wideNet, permanent + noGuestYet} {
			list = append(list, s.with(config))
		}
	}
	for _, s := range crowds {
		for _, config := range []int{flannel, wideNet, permanent + noGuestYet} {
			list = append(list, s.with(config))
		}
	}
	for _, s := range states6 {
		list = append(list, s.with(dual), s.with(dual+noGuestYet), s.with(flannel))
	}
	for config := range delegates {
		list = append(list, seed{"nothing happens", func(*writer) {}}.with(config))
	}
	return list
}

func bridgeSeeds(t testing.TB) (list []namedInput) {
	for config := range bridges {
		for _, s := range captured(t) {
			list = append(list, s.with(config))
		}
		for _, p := range peers {
			s := seed{p.name, func(w *writer) { w.peer(p, 0); w.peer(p, 1) }}
			list = append(list, s.with(config))
		}
		for _, s := range tables {
			list = append(list, s.with(config))
		}
	}
	return list
}

// TestSeedsFit checks that the targets read every seed to its end.
func TestSeedsFit(t *testing.T) {
	for _, s := range delegateSeeds(t) {
		in := newReader(s.input)
		decode(in, delegateWorld(delegate(in.byte())))
		fits(t, s, in)
	}
	for _, s := range bridgeSeeds(t) {
		in := newReader(s.input)
		decode(in, bridgeWorld(bridge(in.byte())))
		fits(t, s, in)
	}
}

func fits(t *testing.T, s namedInput, in *reader) {
	t.Helper()
	if len(s.input) > maxInput || !in.done() {
		t.Errorf("%s: %d bytes, of which %d are not read; want at most %d bytes, all of them read", s.name, len(s.input), len(in.left), maxInput)
	}
}

func (w *writer) peer(p peer, port int) {
	for _, f := range p.frames {
		if port == vswitch.PortUplink {
			f = inbound(f)
		}
		w.raw(port, 1, f)
	}
}

// inbound returns an IPv4 frame of the guest with source and destination exchanged.
func inbound(f vswitch.Frame) vswitch.Frame {
	f.Data = append([]byte{}, f.Data...)
	if len(f.Data) >= 12 && f.Data[0]%2 == 0 {
		copy(f.Data, wireMAC[:])
		copy(f.Data[6:], gwMAC[:])
	}
	if len(f.Data) >= 34 && f.Data[12] == 8 && f.Data[13] == 0 {
		source := [4]byte(f.Data[26:30])
		copy(f.Data[26:30], f.Data[30:34])
		copy(f.Data[30:34], source[:])
	}
	return f
}

// gateway writes an ARP request of the gateway, which makes it known.
func (w *writer) gateway() {
	b := append(ethernet(vswitch.Broadcast, gwMAC, 0x0806), 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(append(b, gwMAC[:]...), 10, 244, 1, 1, 0, 0, 0, 0, 0, 0, 10, 244, 1, 7)
	w.raw(vswitch.PortUplink, 1, vswitch.Frame{Data: b})
}

var (
	podIP  = [4]byte{10, 244, 1, 7}
	farIP  = [4]byte{10, 0, 0, 1}
	peerIP = [4]byte{10, 244, 1, 9}
	// outside is behind the gateway in every configuration that has one.
	outside = [4]byte{8, 8, 8, 8}
)

// plain returns an IPv4 frame of the guest.
func plain(p ipv4) vswitch.Frame {
	return vswitch.Frame{Data: append(ethernet(routerMAC, guestMAC, 0x0800), p.bytes()...)}
}

func undone(p ipv4, offset int, gso uint8, size uint16) vswitch.Frame {
	f := plain(p)
	f.Offload = vnet.Header{Flags: 1, GSOType: gso, GSOSize: size, CsumStart: uint16(34 + len(p.options)), CsumOffset: uint16(offset)}
	return f
}

// states are seeds for states of a Delegate that single frames do not reach.
var states = []seed{
	{"an answer releases held frames in order", func(w *writer) {
		w.raw(vswitch.PortGuest, 3, plain(ipv4{to: peerIP, payload: udpTo(2, 9)}))
		w.raw(vswitch.PortPod, 1, plain(ipv4{to: peerIP, protocol: 6, payload: tcpHeader(0x02, "\x02\x04\x05\xb4")}))
		w.raw(vswitch.PortUplink, 1, hostARP(2, peerMAC, peerIP))
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: peerIP, payload: udpTo(2, 9)}))
	}},
	{"frames of 208 KiB wait for a neighbour, the oldest are dropped", func(w *writer) {
		for _, size := range []int{0, 9000, 30000, 1, 1400} {
			f := undone(ipv4{to: peerIP, protocol: 6, payload: append(tcpHeader(0x10, ""), make([]byte, size)...)}, 16, 1, 1000)
			w.raw(vswitch.PortGuest, 8, f)
			w.raw(vswitch.PortPod, 1, f)
		}
		w.giveUp()
	}},
	{"hosts on the wire: the 65th question of the pod endpoint makes its oldest one end, unless the guest asked too", func(w *writer) {
		w.raw(vswitch.PortPod, 1, plain(ipv4{to: [4]byte{10, 1, 0, 0}, protocol: 6, payload: tcpHeader(0x12, "")}))
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: [4]byte{10, 1, 0, 1}, payload: udpTo(2, 9)}))
		w.scan(1, 64, 0)
		w.scan(0, 1, 2)
		w.scan(1, 3, 64)
		w.scan(3, 68, 0)
		w.giveUp()
	}},
	{"an unconfirmed neighbour is used, probed by unicast, then by broadcast, and removed", func(w *writer) {
		w.gateway()
		for _, pause := range []time.Duration{29999 * time.Millisecond, time.Millisecond, 999 * time.Millisecond, time.Millisecond, time.Minute} {
			w.wait(pause)
			w.raw(vswitch.PortGuest, 2, plain(ipv4{to: farIP, payload: udpTo(2, 9)}))
			w.tick()
		}
		w.giveUp()
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: farIP, payload: udpTo(2, 9)}))
	}},
	{"a second, different answer within a second is ignored, a request is not", func(w *writer) {
		w.wait(time.Minute)
		w.raw(vswitch.PortUplink, 1, hostARP(1, peerMAC, peerIP))
		for _, pause := range []time.Duration{0, 999 * time.Millisecond, time.Millisecond} {
			w.wait(pause)
			w.raw(vswitch.PortUplink, 1, hostARP(2, otherMAC, peerIP))
			w.raw(vswitch.PortGuest, 1, plain(ipv4{to: peerIP, payload: udpTo(2, 9)}))
		}
		w.raw(vswitch.PortUplink, 1, hostARP(1, gwMAC, peerIP))
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: peerIP, payload: udpTo(2, 9)}))
	}},
	{"errors about held frames: none about errors, later fragments and groups; more than fit into the buffer", func(w *writer) {
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: peerIP, protocol: 1, payload: make([]byte, 30)}))
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: peerIP, protocol: 1, payload: append([]byte{3, 1}, make([]byte, 60)...)}))
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: peerIP, flags: 0x2003, payload: make([]byte, 64)}))
		for host := range 16 {
			w.raw(vswitch.PortGuest, 16, plain(ipv4{to: [4]byte{10, 244, 1, byte(100 + host)}, payload: udpTo(2, 1000)}))
		}
		w.giveUp()
	}},
	{"fragments: of a large datagram, with a checksum to complete, with options, of a fragment; more than fit into the buffer", func(w *writer) {
		w.gateway()
		for _, options := range []string{"", "\x94\x04\x00\x00\x07\x04\x04\x00", "\x94\xff\x00\x00", sixty} {
			w.raw(vswitch.PortGuest, 1, plain(ipv4{to: farIP, options: options, payload: udpTo(2, 3000)}))
			w.raw(vswitch.PortGuest, 1, undone(ipv4{to: farIP, options: options, payload: udpTo(2, 3001)}, 6, 0, 0))
			w.raw(vswitch.PortGuest, 1, plain(ipv4{to: [4]byte{239, 1, 2, 4}, options: options, flags: 0x2004, payload: make([]byte, 3000)}))
			w.raw(vswitch.PortGuest, 1, plain(ipv4{to: farIP, options: options, flags: 0x1fff, payload: make([]byte, 3000)}))
			w.raw(vswitch.PortGuest, 1, plain(ipv4{to: farIP, options: options, payload: udpTo(2, 65000)}))
		}
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: [4]byte{224, 0, 0, 9}, options: sixty, payload: udpTo(2, 60000)}))
		w.raw(vswitch.PortGuest, 1, undone(ipv4{to: farIP, protocol: 132, payload: make([]byte, 3000)}, 8, 0, 0))
		w.raw(vswitch.PortGuest, 1, undone(ipv4{to: farIP, protocol: 132, payload: make([]byte, 3000)}, 9, 0, 0))
	}},
	{"fragments exhaust the buffer, and a question of the same batch is repeated", func(w *writer) {
		w.gateway()
		w.raw(vswitch.PortGuest, 1+joinNext, plain(ipv4{to: outside, options: sixty, payload: udpTo(2, 65000)}))
		for host := range 3 {
			w.raw(vswitch.PortGuest, 1+joinNext, plain(ipv4{to: [4]byte{10, 244, 1, byte(20 + host)}, payload: udpTo(2, 9)}))
		}
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: [4]byte{10, 244, 1, 22}, payload: udpTo(2, 9)}))
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: [4]byte{10, 244, 1, 22}, payload: udpTo(2, 9)}))
		w.giveUp()
	}},
	{"the holder changes from the guest to the kernel: uses are recorded, no frame passes", func(w *writer) { w.handOver(vswitch.HolderKernel) }},
	{"the holder changes from the guest to the switch: uses are recorded, no frame passes", func(w *writer) { w.handOver(vswitch.HolderSwitch) }},
	{"the guest changes: uses are recorded ten times a second", func(w *writer) { w.handOver(vswitch.HolderGuest) }},
	{"DHCP between a relay and a server: to and from the relay, to another host, from another one", (*writer).relay},
	{"priority tags before a frame to segment and one with a checksum to complete", func(w *writer) {
		w.gateway()
		for _, f := range []vswitch.Frame{
			undone(ipv4{to: farIP, protocol: 6, payload: append(tcpHeader(0x10, ""), make([]byte, 3000)...)}, 16, 1, 1000),
			undone(ipv4{to: farIP, payload: udpTo(2, 9)}, 6, 0, 0),
		} {
			for _, tags := range []string{"\x81\x00\xe0\x00", "\x81\x00\x00\x00\x88\xa8\x00\x00", "\x81\x00\x00\x00\x81\x00\x00\x05"} {
				tagged := f
				tagged.Data = append(append(append([]byte{}, f.Data[:12]...), tags...), f.Data[12:]...)
				tagged.Offload.CsumStart += uint16(len(tags))
				w.raw(vswitch.PortGuest, 1, tagged)
			}
		}
	}},
	{"announcements within a second of an answer, and replies that are none", func(w *writer) {
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: peerIP, payload: udpTo(2, 9)}))
		w.raw(vswitch.PortUplink, 1, hostARP(2, peerMAC, peerIP))
		for i, operation := range []byte{1, 2, 2, 3} {
			mac := [2]vswitch.MAC{otherMAC, peerMAC}[i%2]
			f := hostARP(operation, mac, peerIP)
			copy(f.Data[38:], peerIP[:])
			if i < 2 {
				copy(f.Data[32:], mac[:])
			}
			w.raw(vswitch.PortUplink, 1, f)
			w.raw(vswitch.PortGuest, 1, plain(ipv4{to: peerIP, payload: udpTo(2, 9)}))
		}
	}},
	{"IPv4 headers with a wrong checksum", func(w *writer) {
		w.gateway()
		f := plain(ipv4{to: farIP, payload: udpTo(2, 9)})
		f.Data[24]++
		w.raw(vswitch.PortGuest+asWritten, 1, f)
		w.raw(vswitch.PortUplink+asWritten, 1, inbound(f))
		w.raw(vswitch.PortPod+asWritten, 1, f)
	}},
	{"rules and kept ports after completion by the kernel", (*writer).evade},
	{"a guest without a known MAC receives no frames", func(w *writer) {
		w.raw(vswitch.PortServer, 1, vswitch.Frame{Data: append(ethernet(noMAC, routerMAC, 0x0800), udpPacket(podIP, podIP)...)})
		w.hand(vswitch.HolderGuest, noMAC)
		w.raw(vswitch.PortUplink, 1, inbound(plain(ipv4{to: farIP, payload: udpTo(2, 9)})))
		w.exchange()
	}},
}

// crowds are seeds that exhaust limits, which needs many frames.
var crowds = []seed{
	{"a mebibyte is held in total; the gateway is exempt", func(w *writer) {
		big := plain(ipv4{to: peerIP, protocol: 6, payload: append(tcpHeader(0x10, ""), make([]byte, 65000)...)})
		big.Offload = vnet.Header{Flags: 1, GSOType: 1, GSOSize: 1400, CsumStart: 34, CsumOffset: 16}
		for host := range 5 {
			big.Data = append([]byte{}, big.Data...)
			copy(big.Data[30:], []byte{10, 244, 1, byte(20 + host)})
			w.raw(vswitch.PortGuest, 3, big)
		}
		w.raw(vswitch.PortGuest, 2, plain(ipv4{to: [4]byte{10, 244, 1, 24}, payload: udpTo(2, 9)}))
		w.raw(vswitch.PortGuest, 1, big)
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: [4]byte{10, 244, 1, 25}, payload: udpTo(2, 65000)}))
		w.raw(vswitch.PortGuest, 2, plain(ipv4{to: outside, payload: udpTo(2, 1000)}))
		w.giveUp()
	}},
	{"a guest scans: 192 questions are for it, 64 for the pod endpoint; the gateway is exempt", func(w *writer) {
		w.scan(0, 200, 0)
		w.scan(1, 100, 300)
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: outside, payload: udpTo(2, 9)}))
		w.giveUp()
	}},
	{"a full table removes unwanted neighbours for a wanted one", func(w *writer) {
		w.fill(2)
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: peerIP, payload: udpTo(2, 9)}))
		w.raw(vswitch.PortUplink, 1, hostARP(2, peerMAC, peerIP))
		w.scan(0, 100, 0)
	}},
	{"a full table removes wanted neighbours for the gateway, and expired ones for others", func(w *writer) {
		for first := 0; first < 1100; first += 100 {
			w.scan(0, 100, first)
			w.scan(3, 100, first)
		}
		w.raw(vswitch.PortUplink, 1, hostARP(1, peerMAC, peerIP))
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: outside, payload: udpTo(2, 9)}))
		w.gateway()
		w.fill(2)
		w.wait(61 * time.Second)
		w.raw(vswitch.PortUplink, 1, hostARP(1, peerMAC, peerIP))
		w.scan(2, 20, 2000)
	}},
	{"a wanted neighbour stays in a full table, also after ARP without a request", func(w *writer) {
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: peerIP, payload: udpTo(2, 9)}))
		w.raw(vswitch.PortUplink, 1, hostARP(2, peerMAC, peerIP))
		w.wait(2 * time.Second)
		w.raw(vswitch.PortUplink, 1, hostARP(2, peerMAC, peerIP))
		w.fill(2)
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: [4]byte{10, 244, 1, 20}, payload: udpTo(2, 9)}))
		w.raw(vswitch.PortUplink, 1, hostARP(2, otherMAC, [4]byte{10, 244, 1, 20}))
		w.raw(vswitch.PortGuest, 1, plain(ipv4{to: peerIP, payload: udpTo(2, 9)}))
	}},
}
