package vswitch

import (
	"bytes"
	"net/netip"
	"sync"
	"time"
)

// Timers and bounds of neighbour resolution; the times are Linux's defaults (Documentation/networking/ip-sysctl.rst).
const (
	neighbourReachable = 30 * time.Second // how long a confirmation holds
	neighbourLock      = time.Second      // a second, different answer within this time is not believed (locktime)
	neighbourTries     = 3                // requests before a neighbour counts as absent (mcast_solicit)
	waitingLimit       = 256              // neighbours that are being asked for
	waitingForGuest    = 192              // of them, those that the guest wants: the pod endpoint has the others
	heldPerNeighbour   = 16               // frames that wait for one answer
	heldBytes          = 1 << 20          // bytes of frames that wait in all
)

// Flags in a table value whose low bits are the MAC.
const (
	permanentNeighbour = 1 << 48
	askedNeighbour     = 1 << 49 // we wanted to know; the others have only made themselves known
)

// NeighbourLimit is how many next hops a Delegate knows at most, those of DelegateConfig.Permanent included. Of more permanent ones
// it takes the first. They fill its table for ever, so that it asks for everybody else by ARP, each time anew.
const NeighbourLimit = 1024

// A Neighbour is a next hop on the wire whose MAC is known without ARP.
type Neighbour struct {
	Addr netip.Addr
	MAC  MAC
}

// neighbours finds the MAC of next hops on the wire by ARP (RFC 826), as a host does that has the pod address.
//
// A confirmed entry is read without a lock. An entry that was not confirmed for a while is used on, and asked for again. A
// missing one is asked for while its frames wait; they leave in order when the answer comes, or are dropped and counted
// at the port where they came in.
//
// All of it is bounded, and a guest that scans a large on-link net fills the bounds; the gateways of the routes are asked for
// and kept nevertheless.
type neighbours struct {
	address  uint32          // the pod address, sender of our requests
	mac      MAC             // the wire MAC
	gateways map[uint32]bool // not changed
	table    *table

	mu      sync.Mutex // guards the following
	waiting map[uint32]*question
	held    int // bytes
}

// A question is a neighbour that is being asked for.
type question struct {
	tries  int
	next   time.Duration
	frames []heldFrame
}

type heldFrame struct {
	Frame
	port int       // where it came in
	in   *Counters // of that port; nil: of a frame that came with a state
}

func newNeighbours(address uint32, mac MAC, permanent []Neighbour, gateways map[uint32]bool) *neighbours {
	n := &neighbours{address: address, mac: mac, gateways: gateways, table: newTable(NeighbourLimit), waiting: make(map[uint32]*question)}
	for _, p := range permanent { // what is beyond the limit has no room
		n.table.put(uint64(ipKey(p.Addr)), p.MAC.key()|permanentNeighbour, 0, neverExpires)
	}
	return n
}

func neverExpires(uint64, time.Duration) bool { return false }

// resolve returns the MAC of a next hop for a frame that came in at port. Without one it reports false and has taken care of
// the frame.
func (n *neighbours) resolve(port int, ip uint32, f *Frame, now time.Duration, out *Out) (MAC, bool) {
	s, value, seen, ok := n.table.find(uint64(ip))
	if !ok {
		return n.wait(port, ip, f, now, out)
	}
	// One frame in a second asks again, and the others go on without looking at the questions.
	if value&permanentNeighbour == 0 && now-seen >= neighbourReachable &&
		s.seen.CompareAndSwap(int64(seen), int64(now-neighbourReachable+tickEvery)) {
		n.ask(port, ip, macFromKey(value), now, out)
	}
	return macFromKey(value), true
}

// wait keeps a copy of the frame until the neighbour has answered, unless it just did.
func (n *neighbours) wait(port int, ip uint32, f *Frame, now time.Duration, out *Out) (MAC, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, value, _, ok := n.table.find(uint64(ip)); ok {
		return macFromKey(value), true
	}
	q := n.askLocked(port, ip, Broadcast, now, out)
	if q == nil || len(q.frames) >= heldPerNeighbour || n.held+len(f.Data) > heldBytes && !n.gateways[ip] {
		out.Drop(NeighbourQueue)
		return MAC{}, false
	}
	n.held += len(f.Data)
	q.frames = append(q.frames, heldFrame{Frame{f.Offload, bytes.Clone(f.Data)}, port, out.in})
	return MAC{}, false
}

func (n *neighbours) ask(port int, ip uint32, to MAC, now time.Duration, out *Out) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.askLocked(port, ip, to, now, out)
}

// askLocked sends the first request for ip, unless one is under way. It returns nil when too many are.
func (n *neighbours) askLocked(port int, ip uint32, to MAC, now time.Duration, out *Out) *question {
	if q := n.waiting[ip]; q != nil {
		return q
	}
	limit := waitingLimit
	if port == PortGuest {
		limit = waitingForGuest
	}
	if len(n.waiting) >= limit && !n.gateways[ip] {
		return nil
	}
	q := &question{}
	n.waiting[ip] = q
	n.request(ip, to, q, now, out)
	return q
}

func (n *neighbours) request(ip uint32, to MAC, q *question, now time.Duration, out *Out) {
	q.next = now + tickEvery
	b := out.buffer(ethernetLen + arpLen)
	if b == nil {
		return // no try: it is repeated
	}
	q.tries++
	writeARP(b, to, arpRequest, n.mac, n.address, MAC{}, ip)
	out.Send(PortUplink, Frame{Data: b})
}

// learn takes what an ARP packet on the wire says about its sender. Only a request to us by a neighbour makes an entry
// (RFC 826, "merge flag"); others only update one. It reports whether the packet was about something that we know or asked for.
func (n *neighbours) learn(a arpPacket, toUs bool, now time.Duration, out *Out) bool {
	ip, mac := a.senderIP(), a.senderMAC()
	if !n.isHost(ip) || mac.IsMulticast() || mac.IsZero() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	_, value, seen, known := n.table.find(uint64(ip)) // the value is 0 when it is not known
	q := n.waiting[ip]
	if !known && q == nil && !(toUs && a.operation() == arpRequest) {
		return false
	}
	if known && value&permanentNeighbour != 0 {
		return true
	}
	// A second answer to one question is not believed; who asks us knows where it wants the answer.
	if known && macFromKey(value) != mac && now-seen < neighbourLock && !(toUs && a.operation() == arpRequest) {
		return true
	}
	entry := mac.key() | value&askedNeighbour
	if q != nil {
		entry |= askedNeighbour
	}
	if !n.table.put(uint64(ip), entry, now, n.expired(now)) && entry&askedNeighbour != 0 {
		n.makeRoomLocked(n.gateways[ip])
		n.table.put(uint64(ip), entry, now, neverExpires)
	}
	n.releaseLocked(ip, q, mac, out)
	return true
}

// isHost tells whether a neighbour may have the address ip.
func (n *neighbours) isHost(ip uint32) bool {
	return ip != n.address && !isMartian(ip) && !isMulticastIP(ip) && ip != 0xffffffff
}

// makeRoomLocked forgets those who have only made themselves known; for a gateway, everybody but gateways: they can be asked
// again.
func (n *neighbours) makeRoomLocked(forGateway bool) {
	n.table.remove(func(key, value uint64, _ time.Duration) bool {
		return value&(permanentNeighbour|askedNeighbour) == 0 ||
			forGateway && value&permanentNeighbour == 0 && !n.gateways[uint32(key)]
	})
}

// expired lets go of neighbours that were silent for long when the table is full.
func (n *neighbours) expired(now time.Duration) func(uint64, time.Duration) bool {
	return func(value uint64, seen time.Duration) bool {
		return value&permanentNeighbour == 0 && now-seen >= 2*neighbourReachable
	}
}

// releaseLocked sends the frames that waited for mac.
func (n *neighbours) releaseLocked(ip uint32, q *question, mac MAC, out *Out) {
	if q == nil {
		return
	}
	delete(n.waiting, ip)
	for _, f := range q.frames {
		n.held -= len(f.Data)
		setMACs(f.Data, mac, n.mac)
		out.Send(PortUplink, f.Frame)
	}
}

// tick repeats requests that are due and gives up on neighbours that did not answer; it calls unreachable for each frame
// that waited for one.
func (n *neighbours) tick(now time.Duration, out *Out, unreachable func(f heldFrame)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ip, q := range n.waiting {
		if q.next <= now && q.tries < neighbourTries {
			n.request(ip, Broadcast, q, now, out)
		}
	}
	// What is said of those who do not answer comes after all requests: it may use up the room for frames of our own.
	for ip, q := range n.waiting {
		if q.next <= now && q.tries >= neighbourTries {
			n.giveUpLocked(ip, q, out, unreachable)
		}
	}
}

func (n *neighbours) giveUpLocked(ip uint32, q *question, out *Out, unreachable func(f heldFrame)) {
	delete(n.waiting, ip)
	n.table.remove(func(key, value uint64, _ time.Duration) bool {
		return key == uint64(ip) && value&permanentNeighbour == 0
	})
	for _, f := range q.frames {
		n.held -= len(f.Data)
		if f.in == nil {
			f.in = out.at(f.port)
		}
		f.in.Drop(Unresolved, 1)
		unreachable(f)
	}
}
