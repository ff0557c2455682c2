package vswitch

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func delegateConfig(routes ...Route) DelegateConfig {
	return DelegateConfig{
		WireMAC: MAC{0x0a, 7}, RouterMAC: MAC{2, 0xfe}, Address: prefix("10.0.0.7/24"), Server: netip.MustParseAddr("169.254.75.1"),
		MTU: 1450, GuestMTU: 1450, Routes: routes,
	}
}

func discard(int, []Frame) {}

// ask resolves ip for a frame and reports whether the frame was held or dropped.
func ask(n *neighbours, ip uint32, now time.Duration, out *Out) (held bool) {
	_, ok := n.resolve(PortGuest, ip4(ip), &Frame{Data: make([]byte, 60)}, now, out)
	return !ok
}

// The number of questions for the guest is limited, and all of them end.
func TestNeighbourQuestionLimit(t *testing.T) {
	counters := new(Counters)
	out := NewOut(delegatePorts, counters)
	n := newNeighbours(false, ip4(1), MAC{2}, nil, nil)
	for ip := uint32(0x0a000001); ip < 0x0a000001+guestQuestionLimit+10; ip++ {
		if !ask(n, ip, 0, out) {
			t.Fatalf("%x is resolved", ip)
		}
	}
	if diff := cmp.Diff(map[string]uint64{"neighbour-queue-full": 10}, counters.Drops()); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
	// Without a free question, no request is sent for an old lookup.Entry, but the entry is used.
	n.table.Set(lookup.Entry{Key: ip4(0x0b000001), Value: MAC{2, 1}.key()})
	if ask(n, 0x0b000001, time.Hour, out) {
		t.Error("an old lookup.Entry is not used")
	}
	out.Flush(discard)
	for s := range 3 {
		n.tick(time.Duration(s+1)*time.Second, out, func(heldFrame) {})
		out.Flush(discard)
	}
	if len(n.questions) != 0 || n.heldBytes != 0 {
		t.Errorf("%d questions and %d bytes are left, want none", len(n.questions), n.heldBytes)
	}
}

// learn makes n learn from an ARP packet.
func learn(n *neighbours, a packet.ARP, onLinkRequest bool, now time.Duration, out *Out) bool {
	return n.learn(claim{a.SenderIP(), a.SenderMAC(), onLinkRequest, a.IsAnnouncement()}, now, out)
}

// answer returns an ARP reply to the pod address, or a request for it.
func answer(operation uint16, ip uint32, mac MAC) packet.ARP {
	b := make([]byte, packet.EthernetLen+packet.ARPLen)
	packet.WriteARP(b, MAC{2}, operation, mac, ip4(ip), MAC{2}, ip4(1))
	return packet.ParseARP(b)
}

// A full table keeps wanted neighbours that were confirmed recently. It removes others for a wanted neighbour. Without room, held frames still
// leave when the answer comes. Permanent neighbours always stay.
func TestNeighbourTableFull(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		out := NewOut(delegatePorts, new(Counters))
		n := newNeighbours(false, ip4(1), MAC{2}, []Neighbour{{Addr: netip.MustParseAddr("10.9.9.9"), MAC: MAC{2, 9}}}, nil)
		for i := range uint32(NeighbourLimit - 1) {
			ip := 0x0a000001 + i
			if wanted {
				ask(n, ip, 0, out)
			}
			if !learn(n, answer(packet.ARPRequest, ip, MAC{2, 1}), true, 0, out) {
				t.Fatalf("neighbour %d is not learned", i)
			}
			out.Flush(discard)
		}
		late := uint32(0x0b000001)
		ask(n, late, 30*time.Second, out)
		out.Flush(discard)
		learn(n, answer(packet.ARPReply, late, MAC{2, 2}), true, 30*time.Second, out)
		sent := 0
		out.Flush(func(_ int, frames []Frame) { sent += len(frames) })
		if sent != 1 {
			t.Errorf("wanted %v: %d frames left with the answer, want 1", wanted, sent)
		}
		if ask(n, late, 30*time.Second, out) != wanted {
			t.Errorf("wanted %v: the late neighbour is in the table: %v", wanted, wanted)
		}
		learn(n, answer(packet.ARPReply, late, MAC{2, 2}), true, 60*time.Second, out)
		if ask(n, late, 60*time.Second, out) {
			t.Error("expired neighbours were not removed")
		}
		if ask(n, 0x0a090909, 60*time.Second, out) {
			t.Error("a permanent neighbour was removed")
		}
	}
}

// A frame that waited for the lock is sent if the answer has come meanwhile.
func TestNeighbourAnsweredMeanwhile(t *testing.T) {
	out := NewOut(delegatePorts, new(Counters))
	n := newNeighbours(false, ip4(1), MAC{2}, nil, nil)
	n.table.Set(lookup.Entry{Key: ip4(5), Value: MAC{2, 5}.key()})
	mac, ok := n.hold(PortGuest, ip4(5), &Frame{Data: make([]byte, 60)}, 0, out)
	if !ok || mac != (MAC{2, 5}) {
		t.Errorf("hold = %v, %v; want %v", mac, ok, MAC{2, 5})
	}
}

// Concurrent traffic of the guest, the pod endpoint and the wire, with ticks, for the race detector. Every frame is delivered or
// counted.
func TestNeighbourConcurrent(t *testing.T) {
	n := newNeighbours(false, ip4(1), MAC{2}, nil, nil)
	const senders, frames = 3, 3000
	counters := new(Counters) // of all senders: each of them drops frames of the others
	sent := make(chan int)
	sendAll := func() {
		out, count := NewOut(delegatePorts, counters), 0
		for i := range frames {
			if !ask(n, 0x0a000001+uint32(i)%64, time.Duration(i)*time.Millisecond, out) {
				count++
			}
			out.Flush(discard)
		}
		sent <- count
	}
	for range senders {
		go sendAll()
	}
	stop, released := make(chan struct{}), make(chan int)
	go func() {
		out, count := NewOut(delegatePorts, new(Counters)), 0
		for i := uint32(0); ; i++ {
			learn(n, answer(packet.ARPReply, 0x0a000001+i%64, MAC{2, 1}), true, 0, out)
			out.Flush(func(_ int, frames []Frame) { count += len(frames) })
			select {
			case <-stop:
				released <- count
				return
			default:
			}
		}
	}()
	unreachable := 0
	tick := NewOut(delegatePorts, new(Counters))
	total := 0
	for range senders {
		total += <-sent
		n.tick(time.Hour, tick, func(heldFrame) { unreachable++ })
		tick.Flush(discard)
	}
	close(stop)
	total += <-released + unreachable + int(counters.Drops()[NeighbourQueue.String()])
	for _, q := range n.questions {
		total += len(q.frames)
	}
	if total != senders*frames {
		t.Errorf("%d frames are accounted for, want %d", total, senders*frames)
	}
}

// Permanent neighbours are in the table from the start. If the list has an address twice, the last entry counts.
func TestNeighbourPermanent(t *testing.T) {
	var list []Neighbour
	for i := range 20 {
		list = append(list, Neighbour{netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", i+1)), MAC{2, byte(i)}})
	}
	n := newNeighbours(false, ip4(1), MAC{2}, append(list, Neighbour{list[0].Addr, MAC{4}}), nil)
	out := NewOut(delegatePorts, new(Counters))
	if mac, ok := n.resolve(PortGuest, lookup.KeyOf(list[0].Addr), nil, time.Hour, out); !ok || mac != (MAC{4}) {
		t.Errorf("resolve = %v, %v; want the later entry %v", mac, ok, MAC{4})
	}
	if mac, ok := n.resolve(PortGuest, lookup.KeyOf(list[19].Addr), nil, time.Hour, out); !ok || mac != list[19].MAC {
		t.Errorf("resolve = %v, %v; want %v", mac, ok, list[19].MAC)
	}
}

// If there are more permanent neighbours than the table has room for, the first are known. The others are resolved each time, and their
// frames leave when the answer comes.
func TestNeighbourPermanentLimit(t *testing.T) {
	var list []Neighbour
	for i := range uint32(NeighbourLimit + 1) {
		list = append(list, Neighbour{ip4(0x0a000001 + i).Addr(false), MAC{2, 9}})
	}
	n := newNeighbours(false, ip4(1), MAC{2}, list, nil)
	out := NewOut(delegatePorts, new(Counters))
	for _, known := range []int{0, NeighbourLimit - 1} {
		if ask(n, uint32(lookup.KeyOf(list[known].Addr).Hi>>32), 0, out) {
			t.Errorf("permanent neighbour %d is resolved", known)
		}
	}
	beyond := uint32(lookup.KeyOf(list[NeighbourLimit].Addr).Hi >> 32)
	for range 2 {
		if !ask(n, beyond, 0, out) {
			t.Error("the neighbour beyond the limit is not resolved")
		}
		learn(n, answer(packet.ARPReply, beyond, MAC{2, 1}), true, 0, out)
		sent := 0
		out.Flush(func(_ int, frames []Frame) { sent += len(frames) })
		if sent != 2 {
			t.Errorf("%d frames left, want the request and the held frame", sent)
		}
	}
}

// An ARP packet with an impossible sender is not learned.
func TestNeighbourImpossible(t *testing.T) {
	const pod, host = 0x0a000007, 0x0a000009
	out := NewOut(delegatePorts, new(Counters))
	for _, test := range []struct {
		name string
		ip   uint32
		mac  MAC
		want bool
	}{
		{"a host", host, MAC{2, 1}, true},
		{"a host in 240.0.0.0/4", 0xf0000009, MAC{2, 1}, true},
		{"the pod address", pod, MAC{2, 1}, false},
		{"the unspecified address", 0, MAC{2, 1}, false},
		{"loopback", 0x7f000001, MAC{2, 1}, false},
		{"a group", 0xe0000001, MAC{2, 1}, false},
		{"broadcast", 0xffffffff, MAC{2, 1}, false},
		{"a group's MAC", host, MAC{3, 1}, false},
		{"no MAC", host, MAC{}, false},
	} {
		n := newNeighbours(false, ip4(pod), MAC{2}, nil, nil)
		got := learn(n, answer(packet.ARPRequest, test.ip, test.mac), true, 0, out)
		if _, _, _, ok := n.table.Find(ip4(test.ip)); got != test.want || ok != test.want {
			t.Errorf("%s: learned %v, in the table %v; want %v", test.name, got, ok, test.want)
		}
	}
}

// The gateways of the routes are resolved and kept even if the guest has exhausted every limit.
func TestNeighbourGatewayFirst(t *testing.T) {
	const gateway, later = 0x0b000001, neighbourReachable / 2
	counters := new(Counters)
	out := NewOut(delegatePorts, counters)
	permanent := []Neighbour{{Addr: netip.MustParseAddr("10.9.9.9"), MAC: MAC{2, 9}}}
	n := newNeighbours(false, ip4(1), MAC{2}, permanent, map[lookup.Key]bool{ip4(gateway): true})
	for i := range uint32(NeighbourLimit - 1) {
		learn(n, answer(packet.ARPRequest, 0x0a000001+i, MAC{2, 1}), true, 0, out)
	}
	for i := range uint32(guestQuestionLimit) {
		ask(n, 0x0c000001+i, 0, out)
	}
	n.heldBytes = heldByteLimit
	if !ask(n, gateway, 0, out) || n.questions[ip4(gateway)] == nil || len(counters.Drops()) != 0 {
		t.Fatalf("the gateway is not resolved; drops: %v", counters.Drops())
	}
	out.Flush(discard)
	learn(n, answer(packet.ARPReply, gateway, MAC{2, 2}), true, later, out)
	sent := 0
	out.Flush(func(_ int, frames []Frame) { sent += len(frames) })
	if sent != 1 {
		t.Errorf("%d frames left with the gateway's answer, want 1", sent)
	}
	if ask(n, gateway, later, out) {
		t.Error("the gateway was removed")
	}
	if ask(n, 0x0a090909, later, out) {
		t.Error("the permanent neighbour was removed")
	}
}

// A guest that exhausts its questions leaves some for the pod endpoint.
func TestNeighbourScan(t *testing.T) {
	counters := new(Counters)
	out := NewOut(delegatePorts, counters)
	n := newNeighbours(false, ip4(1), MAC{2}, nil, nil)
	for ip := uint32(0x0a000001); ip < 0x0a000001+2*questionLimit; ip++ {
		ask(n, ip, 0, out)
		out.Flush(discard)
	}
	before := counters.Drops()["neighbour-queue-full"]
	f := &Frame{Data: make([]byte, 60)}
	if _, ok := n.resolve(PortPod, ip4(0x0b000001), f, 0, out); ok {
		t.Fatal("an unknown neighbour is known")
	}
	sent := 0
	out.Flush(func(_ int, frames []Frame) { sent += len(frames) })
	if sent != 1 || counters.Drops()["neighbour-queue-full"] != before {
		t.Errorf("%d requests for the pod endpoint's neighbour, drops %v", sent, counters.Drops())
	}
}
