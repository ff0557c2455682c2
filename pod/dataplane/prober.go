package dataplane

import (
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// Probes of a lease's owner when another MAC asks for the address. They are ARP requests or neighbour solicitations; clients repeat their DHCP
// messages, so each repetition can send the next probe.
const (
	probeWait  = time.Second      // the time for an answer, and between two probes
	probeCount = 2                // a guest may miss the first one while it configures its address
	probeValid = 30 * time.Second // after this time, unanswered probes prove nothing
)

// A prober finds out whether the owner of the lease is still there. Its modes need external locking.
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
func (pr *prober) isUnreachable(owner vswitch.MAC) bool {
	age := pr.clock() - pr.last
	return pr.target == owner && pr.count >= probeCount && age >= probeWait && age < probeValid && !pr.isAlive()
}

// probe sends a probe to the owner, unless the answer to the last one may still be on its way.
func (pr *prober) probe(owner vswitch.MAC) {
	now := pr.clock()
	if pr.target == owner && now-pr.last < probeWait {
		return
	}
	if pr.target != owner || pr.isAlive() || now-pr.last >= probeValid {
		pr.target, pr.count, pr.first, pr.hasSent = owner, 0, now, false
	}
	pr.count++
	pr.last = now
	pr.send(owner)
}

// isAlive reports whether the target has used the address or sent a DHCP message since the first probe.
func (pr *prober) isAlive() bool {
	at, ok := pr.lastUse(pr.target)
	return pr.hasSent || ok && at >= pr.first
}
