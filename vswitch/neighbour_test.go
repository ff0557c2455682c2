package vswitch

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func delegateConfig(routes ...Route) DelegateConfig {
	return DelegateConfig{
		WireMAC: MAC{0x0a, 7}, RouterMAC: MAC{2, 0xfe}, Address: prefix("10.0.0.7/24"), Server: netip.MustParseAddr("169.254.75.1"),
		MTU: 1450, GuestMTU: 1450, Routes: routes,
	}
}

func discard(int, []Frame) {}

// ask sends a frame to ip through n, and tells whether n had to wait for the answer.
func ask(n *neighbours, ip uint32, now time.Duration, out *Out) (waits bool) {
	_, ok := n.resolve(PortGuest, ip, &Frame{Data: make([]byte, 60)}, now, out)
	return !ok
}

// A guest that sends to everybody has so many questions open and no more, and they all end.
func TestNeighbourWaitingLimit(t *testing.T) {
	counters := new(Counters)
	out := NewOut(delegatePorts, counters)
	n := newNeighbours(1, MAC{2}, nil, nil)
	for ip := uint32(0x0a000001); ip < 0x0a000001+guestQuestionLimit+10; ip++ {
		if !ask(n, ip, 0, out) {
			t.Fatalf("%x is resolved", ip)
		}
	}
	if diff := cmp.Diff(map[string]uint64{"neighbour-queue-full": 10}, counters.Drops()); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
	// An entry that is used on while the list is full is not asked for.
	n.table.set(entry{key: 0x0b000001, value: MAC{2, 1}.key()})
	if ask(n, 0x0b000001, time.Hour, out) {
		t.Error("a stale neighbour is not used on")
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

// answer is an ARP reply to us, or a request for us.
func answer(operation uint16, ip uint32, mac MAC) arpPacket {
	b := make([]byte, ethernetLen+arpLen)
	writeARP(b, MAC{2}, operation, mac, ip, MAC{2}, 1)
	return parseARP(b)
}

// A full table keeps those who were asked for and heard of late; who was not, and who only made itself known, makes room.
// Without room, frames still leave when the answer comes, and permanent neighbours always stay.
func TestNeighbourTableFull(t *testing.T) {
	for _, asked := range []bool{true, false} {
		out := NewOut(delegatePorts, new(Counters))
		n := newNeighbours(1, MAC{2}, []Neighbour{{Addr: netip.MustParseAddr("10.9.9.9"), MAC: MAC{2, 9}}}, nil)
		for i := range uint32(NeighbourLimit - 1) {
			ip := 0x0a000001 + i
			if asked {
				ask(n, ip, 0, out)
			}
			if !n.learn(answer(arpRequest, ip, MAC{2, 1}), true, 0, out) {
				t.Fatalf("neighbour %d is not learned", i)
			}
			out.Flush(discard)
		}
		late := uint32(0x0b000001)
		ask(n, late, 30*time.Second, out)
		out.Flush(discard)
		n.learn(answer(arpReply, late, MAC{2, 2}), true, 30*time.Second, out)
		sent := 0
		out.Flush(func(_ int, frames []Frame) { sent += len(frames) })
		if sent != 1 {
			t.Errorf("asked %v: %d frames left with the answer, want 1", asked, sent)
		}
		if ask(n, late, 30*time.Second, out) != asked {
			t.Errorf("asked %v: whether there was room is wrong", asked)
		}
		n.learn(answer(arpReply, late, MAC{2, 2}), true, 60*time.Second, out)
		if ask(n, late, 60*time.Second, out) {
			t.Error("neighbours that were silent for a minute made no room")
		}
		if ask(n, 0x0a090909, 60*time.Second, out) {
			t.Error("a permanent neighbour made room")
		}
	}
}

// A frame that had to wait behind the lock finds the answer that came meanwhile.
func TestNeighbourAnsweredMeanwhile(t *testing.T) {
	out := NewOut(delegatePorts, new(Counters))
	n := newNeighbours(1, MAC{2}, nil, nil)
	n.table.set(entry{key: 5, value: MAC{2, 5}.key()})
	mac, ok := n.hold(PortGuest, 5, &Frame{Data: make([]byte, 60)}, 0, out)
	if !ok || mac != (MAC{2, 5}) {
		t.Errorf("hold = %v, %v; want %v", mac, ok, MAC{2, 5})
	}
}

// Traffic of the guest, the pod endpoint and the wire at once, with the tick: for the race detector. Every frame is
// delivered or counted.
func TestNeighbourConcurrent(t *testing.T) {
	n := newNeighbours(1, MAC{2}, nil, nil)
	const senders, frames = 3, 3000
	type result struct{ sent, drops int }
	results := make(chan result)
	sendAll := func() {
		counters := new(Counters)
		out, r := NewOut(delegatePorts, counters), result{}
		for i := range frames {
			if !ask(n, 0x0a000001+uint32(i)%64, time.Duration(i)*time.Millisecond, out) {
				r.sent++
			}
			out.Flush(discard)
		}
		r.drops = int(counters.Drops()[NeighbourQueue.String()])
		results <- r
	}
	for range senders {
		go sendAll()
	}
	stop, released := make(chan struct{}), make(chan int)
	go func() {
		out, count := NewOut(delegatePorts, new(Counters)), 0
		for i := uint32(0); ; i++ {
			n.learn(answer(arpReply, 0x0a000001+i%64, MAC{2, 1}), true, 0, out)
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
		r := <-results
		total += r.sent + r.drops
		n.tick(time.Hour, tick, func(heldFrame) { unreachable++ })
		tick.Flush(discard)
	}
	close(stop)
	total += <-released + unreachable
	for _, q := range n.questions {
		total += len(q.frames)
	}
	if total != senders*frames {
		t.Errorf("%d frames are accounted for, want %d", total, senders*frames)
	}
}

// What is permanent stands in the table from the start, also when the list has an address twice.
func TestNeighbourPermanent(t *testing.T) {
	var list []Neighbour
	for i := range 20 {
		list = append(list, Neighbour{netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", i+1)), MAC{2, byte(i)}})
	}
	n := newNeighbours(1, MAC{2}, append(list, Neighbour{list[0].Addr, MAC{4}}), nil)
	out := NewOut(delegatePorts, new(Counters))
	if mac, ok := n.resolve(PortGuest, ipKey(list[0].Addr), nil, time.Hour, out); !ok || mac != (MAC{4}) {
		t.Errorf("resolve = %v, %v; want the later entry %v", mac, ok, MAC{4})
	}
	if mac, ok := n.resolve(PortGuest, ipKey(list[19].Addr), nil, time.Hour, out); !ok || mac != list[19].MAC {
		t.Errorf("resolve = %v, %v; want %v", mac, ok, list[19].MAC)
	}
}

// Of more permanent neighbours than there is room for, the first are known; the others are asked for each time, and their frames
// leave when the answer comes.
func TestNeighbourPermanentLimit(t *testing.T) {
	var list []Neighbour
	for i := range uint32(NeighbourLimit + 1) {
		list = append(list, Neighbour{addrFromKey(0x0a000001 + i), MAC{2, 9}})
	}
	n := newNeighbours(1, MAC{2}, list, nil)
	out := NewOut(delegatePorts, new(Counters))
	for _, known := range []int{0, NeighbourLimit - 1} {
		if ask(n, ipKey(list[known].Addr), 0, out) {
			t.Errorf("permanent neighbour %d is asked for", known)
		}
	}
	beyond := ipKey(list[NeighbourLimit].Addr)
	for range 2 {
		if !ask(n, beyond, 0, out) {
			t.Error("the neighbour beyond the limit is not asked for")
		}
		n.learn(answer(arpReply, beyond, MAC{2, 1}), true, 0, out)
		sent := 0
		out.Flush(func(_ int, frames []Frame) { sent += len(frames) })
		if sent != 2 {
			t.Errorf("%d frames left, want the request and the one that waited", sent)
		}
	}
}

// No ARP packet makes a neighbour of what cannot be one, whoever it asks for.
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
		{"ourselves", pod, MAC{2, 1}, false},
		{"nobody", 0, MAC{2, 1}, false},
		{"loopback", 0x7f000001, MAC{2, 1}, false},
		{"a group", 0xe0000001, MAC{2, 1}, false},
		{"everybody", 0xffffffff, MAC{2, 1}, false},
		{"a group's MAC", host, MAC{3, 1}, false},
		{"no MAC", host, MAC{}, false},
	} {
		n := newNeighbours(pod, MAC{2}, nil, nil)
		got := n.learn(answer(arpRequest, test.ip, test.mac), true, 0, out)
		if _, _, ok := n.table.find(uint64(test.ip)); got != test.want || ok != test.want {
			t.Errorf("%s: learned %v, in the table %v; want %v", test.name, got, ok, test.want)
		}
	}
}

// Whatever else the guest asks for, the gateways of its routes are asked for, waited for and kept.
func TestNeighbourGatewayFirst(t *testing.T) {
	const gateway, later = 0x0b000001, neighbourReachable / 2
	counters := new(Counters)
	out := NewOut(delegatePorts, counters)
	permanent := []Neighbour{{Addr: netip.MustParseAddr("10.9.9.9"), MAC: MAC{2, 9}}}
	n := newNeighbours(1, MAC{2}, permanent, map[uint32]bool{gateway: true})
	for i := range uint32(NeighbourLimit - 1) {
		n.learn(answer(arpRequest, 0x0a000001+i, MAC{2, 1}), true, 0, out)
	}
	for i := range uint32(guestQuestionLimit) {
		ask(n, 0x0c000001+i, 0, out)
	}
	n.heldBytes = heldByteLimit
	if !ask(n, gateway, 0, out) || n.questions[gateway] == nil || len(counters.Drops()) != 0 {
		t.Fatalf("the gateway is not asked for; drops: %v", counters.Drops())
	}
	out.Flush(discard)
	n.learn(answer(arpReply, gateway, MAC{2, 2}), true, later, out)
	sent := 0
	out.Flush(func(_ int, frames []Frame) { sent += len(frames) })
	if sent != 1 {
		t.Errorf("%d frames left with the gateway's answer, want 1", sent)
	}
	if ask(n, gateway, later, out) {
		t.Error("the gateway was forgotten")
	}
	if ask(n, 0x0a090909, later, out) {
		t.Error("the permanent neighbour made room")
	}
}

// A guest that asks for more neighbours than can be waited for leaves room for the pod endpoint.
func TestNeighbourScan(t *testing.T) {
	counters := new(Counters)
	out := NewOut(delegatePorts, counters)
	n := newNeighbours(1, MAC{2}, nil, nil)
	for ip := uint32(0x0a000001); ip < 0x0a000001+2*questionLimit; ip++ {
		ask(n, ip, 0, out)
		out.Flush(discard)
	}
	before := counters.Drops()["neighbour-queue-full"]
	f := &Frame{Data: make([]byte, 60)}
	if _, ok := n.resolve(PortPod, 0x0b000001, f, 0, out); ok {
		t.Fatal("an unknown neighbour is known")
	}
	sent := 0
	out.Flush(func(_ int, frames []Frame) { sent += len(frames) })
	if sent != 1 || counters.Drops()["neighbour-queue-full"] != before {
		t.Errorf("%d requests for the pod endpoint's neighbour, drops %v", sent, counters.Drops())
	}
}
