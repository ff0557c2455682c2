package dataplane

import (
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// Probes of a lease's owner when another MAC asks for the address. They are ARP requests; clients repeat their DHCP messages, so each
// repetition can send the next probe.
const (
	probeWait  = time.Second      // the time for an answer, and between two probes
	probeCount = 2                // a guest may miss the first one while it configures its address
	probeValid = 30 * time.Second // after this time, unanswered probes prove nothing
)

// A prober finds out whether the owner of the lease is still there. Its methods need external locking.
type prober struct {
	clock   func() time.Duration // the switch's
	lastUse func(vswitch.MAC) (at time.Duration, ok bool)
	send    func(vswitch.MAC)

	// The current series of probes. The zero values are no series.
	target  vswitch.MAC
	count   int
	first   time.Duration
	last    time.Duration
	hasSent bool // the owner has sent a DHCP message since the first probe
}

// isUnreachable reports whether the owner was probed probeCount times and has not answered.
func (p *prober) isUnreachable(owner vswitch.MAC) bool {
	age := p.clock() - p.last
	return p.target == owner && p.count >= probeCount && age >= probeWait && age < probeValid && !p.isAlive()
}

// probe sends a probe to the owner, unless the answer to the last one may still be on its way.
func (p *prober) probe(owner vswitch.MAC) {
	now := p.clock()
	if p.target == owner && now-p.last < probeWait {
		return
	}
	if p.target != owner || p.isAlive() || now-p.last >= probeValid {
		p.target, p.count, p.first, p.hasSent = owner, 0, now, false
	}
	p.count++
	p.last = now
	p.send(owner)
}

// isAlive reports whether the target has used the address or sent a DHCP message since the first probe.
func (p *prober) isAlive() bool {
	at, ok := p.lastUse(p.target)
	return p.hasSent || ok && at >= p.first
}
