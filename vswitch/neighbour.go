package vswitch

import (
	"net/netip"
	"sync"
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
	"github.com/podswitch/podswitch/vnet"
)

// Timers and limits of neighbour resolution. The times are Linux's defaults (Documentation/networking/ip-sysctl.rst).
const (
	neighbourReachable = 30 * time.Second // how long a confirmation is valid
	neighbourLock      = time.Second      // a second, different answer within this time is ignored (locktime)
	neighbourTries     = 3                // requests before a neighbour counts as unreachable (mcast_solicit)
	probeInterval      = tickInterval     // least time between two requests to confirm an entry
	questionLimit      = 256              // neighbours that are being resolved
	guestQuestionLimit = 192              // of them for the guest
	podQuestionLimit   = 64               // and for the pod endpoint, which answers to any host
	heldQueueLimit     = 212992           // cost of the frames that wait for one neighbour (unres_qlen_bytes)
	heldByteLimit      = 1 << 20          // cost of the frames that wait for all neighbours
	heldFrameCost      = 512              // cost of a frame besides its bytes: memory of its own, as in the kernel's accounting (truesize)
	goneLimit          = 16               // removed frames whose places a question may keep, besides as many as wait
)

// NeighbourLimit is the largest number of neighbours in a Delegate's table, including DelegateConfig.Permanent. If there are more
// permanent neighbours, the table takes the first ones and has no room for others, and every other next hop is resolved again for
// each burst of packets.
const NeighbourLimit = 1024

// A Neighbour is a next hop on the wire whose MAC is configured.
type Neighbour struct {
	Addr netip.Addr
	MAC  MAC
}

// neighbours resolves next hops on the wire to MACs by ARP (RFC 826) or IPv6 neighbour discovery (RFC 4861), as a host with the pod
// address does.
//
//   - A confirmed entry is read without a lock.
//
//   - An entry whose confirmation is too old is used, and a request is sent to confirm it.
//
//   - Without an entry, the frame waits while requests are sent (a question). Waiting frames leave in order when the answer comes.
//     If no answer comes, they are dropped and counted at the port where they entered.
//
//   - If too many frames wait for it, the oldest ones are dropped, as in Linux: the newest are the most useful.
//
// Every resource is bounded, and a guest that scans a large on-link network exhausts the bounds. The gateways of the routes are exempt:
// they are always resolved and kept. Hosts on the wire cause questions too, by requests to kept ports from many addresses: these exhaust a
// share of their own, in which the oldest question makes room for the next one.
type neighbours struct {
	isIPv6  bool
	address lookup.Key    // the pod address: sender of the requests
	table   *lookup.Table // by address; the values are neighbourValues

	mu        sync.Mutex          // guards the following
	mac       MAC                 // the wire MAC
	gateways  map[lookup.Key]bool // the map itself is read-only
	announces bool                // the next tick announces the wire MAC
	questions map[lookup.Key]*question
	asked     [delegatePorts]int // questions by the port that asked, without those about gateways
	nextSeq   uint64
	heldBytes int // cost of all questions' frames
}

// A question is the resolution of one neighbour.
type question struct {
	tries  int           // requests sent
	next   time.Duration // when the next request is due
	frames []heldFrame
	gone   int    // frames that were removed from the front since the slice got its memory, or more
	cost   int    // of the frames
	port   int    // that asked: PortGuest if the guest did, and PortPod otherwise
	seq    uint64 // order of the questions
}

func newNeighbours(isIPv6 bool, address lookup.Key, mac MAC, permanent []Neighbour, gateways map[lookup.Key]bool) *neighbours {
	n := &neighbours{isIPv6: isIPv6, address: address, mac: mac, gateways: gateways,
		table: lookup.New(NeighbourLimit, !isIPv6), questions: make(map[lookup.Key]*question)}
	for _, p := range permanent { // those beyond the limit find no room
		if lookup.IsOf(p.Addr, isIPv6) {
			n.table.Set(p.entry())
		}
	}
	return n
}

// resolve returns the MAC of a next hop for a frame that entered at port. If it reports false, it has kept a copy of the frame or
// dropped it.
func (n *neighbours) resolve(port int, ip lookup.Key, f *Frame, now time.Duration, out *Out) (MAC, bool) {
	s, found, seen, ok := n.table.Find(ip)
	if !ok {
		return n.hold(port, ip, f, now, out)
	}
	value := neighbourValue(found)
	// probe selects one frame in probeInterval to send the request; the other frames go on without the lock. If the slot has been
	// given to another neighbour since, probe only delays the request for that neighbour.
	if !value.isPermanent() && now-seen >= neighbourReachable && s.Probe(now, probeInterval) {
		n.ask(port, ip, value.mac(), now, out)
	}
	return value.mac(), true
}

func (n *neighbours) ask(port int, ip lookup.Key, to MAC, now time.Duration, out *Out) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.askLocked(port, ip, to, now, out)
}

// askLocked returns the question about ip. If there is none, it starts one with a request to the given MAC; it returns nil if there are
// too many questions.
func (n *neighbours) askLocked(port int, ip lookup.Key, to MAC, now time.Duration, out *Out) *question {
	isGateway, guestMayAsk := n.gateways[ip], n.asked[PortGuest] < guestQuestionLimit
	if q := n.questions[ip]; q != nil {
		if port == PortGuest && q.port != PortGuest && guestMayAsk && !isGateway { // it must not make room for others any more
			n.asked[q.port]--
			n.asked[PortGuest]++
			q.port = PortGuest
		}
		return q
	}
	if !isGateway {
		if port == PortGuest && !guestMayAsk {
			return nil
		}
		isFull := n.asked[PortGuest]+n.asked[PortPod] >= questionLimit || port != PortGuest && n.asked[PortPod] >= podQuestionLimit
		if isFull && n.asked[PortPod] > 0 { // those of the guest may exceed their limit: setUplink
			n.dropOldestLocked(out)
		}
		n.asked[port]++
	}
	q := &question{port: port, seq: n.nextSeq}
	n.nextSeq++
	n.questions[ip] = q
	n.request(ip, to, q, now, out)
	return q
}

// dropOldestLocked ends the oldest question of the pod endpoint.
func (n *neighbours) dropOldestLocked(out *Out) {
	var oldestIP lookup.Key
	var oldest *question
	for ip, q := range n.questions {
		if q.port != PortGuest && !n.gateways[ip] && (oldest == nil || q.seq < oldest.seq) {
			oldestIP, oldest = ip, q
		}
	}
	n.endLocked(oldestIP, oldest)
	for _, f := range oldest.frames {
		f.counters(out).Drop(NeighbourQueue, 1)
	}
}

// endLocked removes a question. Its frames are the caller's.
func (n *neighbours) endLocked(ip lookup.Key, q *question) {
	delete(n.questions, ip)
	n.heldBytes -= q.cost
	if !n.gateways[ip] {
		n.asked[q.port]--
	}
}

func (n *neighbours) request(ip lookup.Key, to MAC, q *question, now time.Duration, out *Out) {
	q.next = now + tickInterval
	if n.sendRequest(to, ip, out) { // otherwise it does not count as a try, and the next tick repeats it
		q.tries++
	}
}

// learn updates the table from what a host on the wire says. Only a request for the pod address from an on-link host creates an entry
// (RFC 826, "merge flag"). Other packets update an entry or answer a question. learn reports whether the packet was about a known or
// wanted neighbour, or created one.
func (n *neighbours) learn(c claim, now time.Duration, out *Out) bool {
	ip, mac := c.ip, c.mac
	if !n.isHost(ip) || !mac.isStation() && mac != (MAC{}) || mac == (MAC{}) && !n.isIPv6 {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	_, found, seen, known := n.table.Find(ip)
	value := neighbourValue(found) // 0 if not known
	q := n.questions[ip]
	if !known && q == nil && !c.creates {
		return false
	}
	if mac.IsZero() {
		mac = value.mac()
	}
	// A second answer to one request is ignored. A request is not an answer: its sender knows where the reply should go. An announcement
	// tells of a change, such as the failover of a gateway (net/ipv4/arp.c, arp_process). In IPv6 an answer says whether it is one.
	isSecond := known && value.mac() != mac && (n.isIPv6 || now-seen < neighbourLock) && !c.creates && !c.overrides
	if mac.IsZero() || isSecond || known && value.isPermanent() {
		return true
	}
	n.putLocked(ip, newNeighbourValue(mac, value.isWanted() || q != nil), now)
	n.releaseLocked(ip, q, mac, out)
	return true
}

// putLocked stores a neighbour that was confirmed now. For a wanted one, it makes room in a full table.
func (n *neighbours) putLocked(ip lookup.Key, value neighbourValue, now time.Duration) {
	if n.table.Put(ip, uint64(value), now, expiredNeighbour(now)) || !value.isWanted() {
		return
	}
	n.makeRoomLocked(n.gateways[ip])
	n.table.Set(lookup.Entry{Key: ip, Value: uint64(value), Seen: now, Probed: now})
}

// A claim is what a host says of itself in ARP or neighbour discovery.
type claim struct {
	ip        lookup.Key
	mac       MAC  // the zero MAC: the one that is known is still right (RFC 4861, section 7.2.5)
	creates   bool // a request for the pod address from an on-link host
	overrides bool // it tells of a change
}

// sendRequest asks the owner of an address, at its MAC or by broadcast, for its MAC: by ARP or by a neighbour solicitation, which goes to a
// group instead. It reports false if there is no buffer.
func (n *neighbours) sendRequest(to MAC, ip lookup.Key, out *Out) bool {
	if n.isIPv6 {
		target := ip
		if to == Broadcast {
			group := vnet.SolicitedNode(ip.Bytes())
			target = lookup.Key6(group[:])
			to = target.GroupMAC(true)
		}
		d := vnet.Discovery{Type: vnet.NeighbourSolicitation, Target: ip.Bytes(), MAC: n.mac}
		return sendDiscovery(PortUplink, &d, to, n.address, target, out)
	}
	b := out.buffer(packet.EthernetLen + packet.ARPLen)
	if b == nil {
		return false
	}
	packet.WriteARP(b, to, packet.ARPRequest, n.mac, n.address, MAC{}, ip)
	out.Send(PortUplink, Frame{Data: b})
	return true
}

// isHost reports whether a neighbour may have the address ip.
func (n *neighbours) isHost(ip lookup.Key) bool {
	return ip != n.address && !ip.IsMartian(n.isIPv6) && !ip.IsGroup(n.isIPv6) && (n.isIPv6 || ip != lookup.LimitedBroadcast)
}

// makeRoomLocked removes the neighbours that only made themselves known. For a gateway, it removes all but gateways and
// permanent ones: they can be resolved again.
func (n *neighbours) makeRoomLocked(forGateway bool) {
	n.table.Remove(func(e lookup.Entry) bool {
		value := neighbourValue(e.Value)
		return !value.isPermanent() && (!value.isWanted() || forGateway && !n.gateways[e.Key])
	})
}

// expiredNeighbour returns the condition under which a full table drops a neighbour: not confirmed for twice the time for which a
// confirmation is valid, and not probed within the second half of it.
func expiredNeighbour(now time.Duration) func(lookup.Entry) bool {
	return func(e lookup.Entry) bool {
		return !neighbourValue(e.Value).isPermanent() && now-e.Seen >= 2*neighbourReachable && now-e.Probed >= neighbourReachable+probeInterval
	}
}

// tick repeats the requests that are due and gives up on neighbours that have not answered neighbourTries of them. It calls
// unreachable for each frame that waited for one.
func (n *neighbours) tick(now time.Duration, out *Out, unreachable func(f heldFrame)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.announceLocked(out)
	for ip, q := range n.questions {
		if _, found, _, ok := n.table.Find(ip); ok && neighbourValue(found).isPermanent() { // since setUplink
			n.releaseLocked(ip, q, neighbourValue(found).mac(), out)
		} else if q.next <= now && q.tries < neighbourTries {
			n.request(ip, Broadcast, q, now, out)
		}
	}
	// ICMP errors come last: they may exhaust the scratch buffer, and requests for neighbours matter more.
	for ip, q := range n.questions {
		if q.next <= now && q.tries >= neighbourTries {
			n.giveUpLocked(ip, q, out, unreachable)
		}
	}
}

func (n *neighbours) giveUpLocked(ip lookup.Key, q *question, out *Out, unreachable func(f heldFrame)) {
	n.endLocked(ip, q)
	n.table.Remove(func(e lookup.Entry) bool { return e.Key == ip && !neighbourValue(e.Value).isPermanent() })
	for _, f := range q.frames {
		f.counters(out).Drop(Unresolved, 1)
		f.in.offend(Unresolved, offendingIP(ip, n.isIPv6))
		unreachable(f)
	}
}
