package oracle

import (
	"net/netip"
	"slices"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// The numbers at the top of vswitch/neighbour.go.
const (
	reachable      = 30 * time.Second
	locked         = time.Second
	again          = time.Second
	silent         = 2 * reachable // a full table removes it
	tries          = 3
	neighbourLimit = 1024
	questionLimit  = 256
	guestQuestions = 192
	podQuestions   = 64
	heldQueue      = 212992
	heldBytes      = 1 << 20
	heldFrameCost  = 512
)

type neighbour struct {
	mac       vswitch.MAC
	seen      time.Duration // when it was last confirmed
	probed    time.Duration // when a confirmation was last asked for
	permanent bool
	wanted    bool // the switch has asked for it
}

type question struct {
	tries  int
	next   time.Duration
	frames []heldFrame
	port   int // that asked: the guest's if it did
	number int // in the order of the questions
}

type heldFrame struct {
	vswitch.Frame
	port int
}

// toNeighbour sends a frame that fits to its next hop, or holds it.
func (c *call) toNeighbour(f vswitch.Frame, hop netip.Addr) {
	if c.cfg.NoARP {
		c.send(vswitch.PortUplink, readdressed(f, c.cfg.WireMAC, c.cfg.WireMAC))
		return
	}
	n, known := c.neighbours[hop]
	if !known {
		c.hold(f, hop)
		return
	}
	if !n.permanent && c.now-n.seen >= reachable && c.now-n.probed >= again { // one frame in a second sends the request
		c.ask(hop, n.mac)
		n.probed = c.now
		c.neighbours[hop] = n
	}
	c.send(vswitch.PortUplink, readdressed(f, n.mac, c.cfg.WireMAC))
}

// hold keeps a frame until its next hop has answered. The oldest frames for the next hop make room. Frames for a gateway are exempt from
// the limit of all frames.
func (c *call) hold(f vswitch.Frame, hop netip.Addr) {
	q := c.ask(hop, vswitch.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	if q == nil {
		c.refuse(vswitch.NeighbourQueue)
		return
	}
	cost := len(f.Data) + heldFrameCost
	full := func() bool { return c.costHeld()+cost > heldBytes && !c.isGateway(hop) }
	for len(q.frames) > 0 && (q.cost()+cost > heldQueue || full()) {
		c.drop(q.frames[0].port, vswitch.NeighbourQueue)
		q.frames = q.frames[1:]
	}
	if full() {
		c.refuse(vswitch.NeighbourQueue)
		return
	}
	f.Data = append([]byte{}, f.Data...)
	q.frames = append(q.frames, heldFrame{f, c.in})
}

func (d *Family) costHeld() int {
	n := 0
	for _, q := range d.questions {
		n += q.cost()
	}
	return n
}

func (q *question) cost() int {
	n := 0
	for _, f := range q.frames {
		n += len(f.Data) + heldFrameCost
	}
	return n
}

// asked returns the number of questions of the guest, or of the pod endpoint, without those about gateways.
func (c *call) asked(port int) int {
	n := 0
	for hop, q := range c.questions {
		if q.port == port && !c.isGateway(hop) {
			n++
		}
	}
	return n
}

// ask returns the question about a next hop. If there is none, it starts one; it returns nil if the guest has too many. A question of the
// pod endpoint becomes the guest's if the guest asks too. The pod endpoint's oldest one makes room for the next.
func (c *call) ask(hop netip.Addr, to vswitch.MAC) *question {
	fromGuest := c.in == vswitch.PortGuest
	guestMayAsk := c.asked(vswitch.PortGuest) < guestQuestions
	if q := c.questions[hop]; q != nil {
		if fromGuest && guestMayAsk && !c.isGateway(hop) {
			q.port = vswitch.PortGuest
		}
		return q
	}
	if !c.isGateway(hop) {
		if fromGuest && !guestMayAsk {
			return nil
		}
		ofPod := c.asked(vswitch.PortPod)
		if !fromGuest && ofPod >= podQuestions || ofPod+c.asked(vswitch.PortGuest) >= questionLimit {
			c.dropOldest()
		}
	}
	c.number++
	q := &question{port: c.in, number: c.number}
	c.questions[hop] = q
	c.request(hop, to, q)
	return q
}

// dropOldest ends the oldest question of the pod endpoint, and drops its frames.
func (c *call) dropOldest() {
	var first netip.Addr
	for hop, q := range c.questions {
		if q.port == vswitch.PortPod && !c.isGateway(hop) && (!first.IsValid() || q.number < c.questions[first].number) {
			first = hop
		}
	}
	for _, f := range c.questions[first].frames {
		c.drop(f.port, vswitch.NeighbourQueue)
	}
	delete(c.questions, first)
}

func (c *call) request(hop netip.Addr, to vswitch.MAC, q *question) {
	q.next = c.now + again
	if c.six {
		c.solicit(hop, to, q)
		return
	}
	if !c.reserve(arpRequest) {
		return
	}
	q.tries++
	c.Made++
	a := arp{request, c.cfg.WireMAC, vswitch.MAC{}, c.self, hop}
	c.send(vswitch.PortUplink, vswitch.Frame{Data: frame(to, c.cfg.WireMAC, typeARP, a.bytes())})
}

// A claim is what a host on the wire says of itself.
type claim struct {
	ip      netip.Addr
	mac     vswitch.MAC // the zero MAC: as known
	asks    bool        // an on-link host that asks for the pod address
	changes bool        // the MAC may be new
}

// learn updates the neighbours. It reports whether the sender is known or wanted, or is an
// on-link host that requests the pod address.
func (c *call) learn(k claim) bool {
	ip, mac := k.ip, k.mac
	if ip == c.self || isMartian(ip) || isGroupIP(ip) || ip == limitedBroadcast || isGroup(mac) || isNobody(mac) && !c.six {
		return false
	}
	n, known := c.neighbours[ip]
	q := c.questions[ip]
	if isNobody(mac) {
		mac = n.mac
	}
	switch {
	case !known && q == nil && !k.asks:
		return false
	case n.permanent, isNobody(mac):
		return true
	case known && n.mac != mac && (c.six || c.now-n.seen < locked) && !k.asks && !k.changes:
		return true // a second, different answer to one request
	}
	c.remember(ip, neighbour{mac: mac, seen: c.now, probed: c.now, wanted: n.wanted || q != nil})
	if q == nil {
		return true
	}
	delete(c.questions, ip)
	for _, f := range q.frames {
		c.send(vswitch.PortUplink, readdressed(f.Frame, mac, c.cfg.WireMAC))
	}
	return true
}

// isAnnouncement reports whether a host announces its own address: by a request, or by a reply to itself.
func isAnnouncement(a arp) bool {
	if a.senderIP != a.targetIP {
		return false
	}
	return a.operation == request || a.operation == reply && a.targetMAC == a.senderMAC
}

// remember adds a neighbour to the table. If the table is full, it first removes the expired neighbours, at most once a second. Then, for a
// wanted neighbour, it removes the neighbours that only made themselves known; for a gateway, all but gateways.
func (c *call) remember(ip netip.Addr, n neighbour) {
	full := func() bool {
		_, known := c.neighbours[ip]
		return !known && len(c.neighbours) >= neighbourLimit
	}
	if full() && c.now >= c.sweep {
		c.sweep = c.now + again
		c.forget(func(_ netip.Addr, o neighbour) bool {
			return c.now-o.seen >= silent && c.now-o.probed >= reachable+again
		})
	}
	if full() && n.wanted {
		c.forget(func(a netip.Addr, o neighbour) bool { return !o.wanted || c.isGateway(ip) && !c.isGateway(a) })
	}
	if !full() {
		c.neighbours[ip] = n
	}
}

// forget removes the neighbours for which gone returns true, except permanent ones.
func (c *call) forget(gone func(netip.Addr, neighbour) bool) {
	for a, n := range c.neighbours {
		if !n.permanent && gone(a, n) {
			delete(c.neighbours, a)
		}
	}
}

// Tick repeats the requests that are due. It gives up on neighbours that have not answered three of them: it drops their frames and sends
// ICMP errors to the guest.
func (d *Delegate) Tick(now time.Duration) *Outcome {
	o := newOutcome()
	for _, v := range d.families() {
		c := &call{Family: v, d: d, Outcome: o, now: now}
		d.errors = 0
		c.advertise()
		c.tick()
	}
	return o
}

func (c *call) tick() {
	hops := []netip.Addr{}
	for hop, q := range c.questions {
		if q.next <= c.now {
			hops = append(hops, hop)
		}
	}
	slices.SortFunc(hops, netip.Addr.Compare)
	var absent []netip.Addr
	for _, hop := range hops {
		if q := c.questions[hop]; q.tries < tries {
			c.request(hop, vswitch.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, q)
		} else {
			absent = append(absent, hop)
		}
	}
	for _, hop := range absent {
		c.giveUp(hop)
	}
}

func (c *call) giveUp(hop netip.Addr) {
	q := c.questions[hop]
	delete(c.questions, hop)
	c.forget(func(a netip.Addr, _ neighbour) bool { return a == hop })
	for _, f := range q.frames {
		c.drop(f.port, vswitch.Unresolved)
		if c.in = f.port; c.in == vswitch.PortGuest {
			c.sendError(f.Frame, 1, 0) // host unreachable
		}
	}
}
