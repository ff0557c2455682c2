package vswitch

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/podswitch/podswitch/internal/packet"
)

// The loop guard finds loops outside a Bridge, such as two ports at one network. Each tick sends a probe from every port. A port that
// receives a probe of a lower port, or its own one, is blocked: no frame enters or leaves there until no probe has arrived for the hold
// time. The lower port of a loop stays, because both of them receive probes.
//
// A host may repeat a probe that it has seen, with any port number. It can only block the port at which it is itself.

const (
	typeProbe = 0x88b5          // a local experimental EtherType (IEEE 802a-2003, section 3.2)
	probeMark = "podswitch\x01" // name and version of the protocol; the id of the switch (8 bytes) and the port (2 bytes) follow
	probePort = 32              // offset of the port
	probeLen  = 60              // the least length of an Ethernet frame without its checksum

	// loopHold is the least hold time. Each probe draws a time of up to twice that: two switches with a guard that have blocked both links
	// between them must not open them at the same moment.
	loopHold = 5 * time.Second
	// flapTime is the longest time between two moves of a station that flaps. A virtual machine that migrates moves once.
	flapTime = time.Second
)

// A guardedPort is the state of a port in the loop guard.
type guardedPort struct {
	until atomic.Int64 // the port is blocked before this time on the switch's clock
	by    atomic.Int64 // the port whose probe was the last to arrive
}

// newProbe returns the probe of port 0. Its source is one for each port, because other bridges learn it.
func newProbe(id uint64) []byte {
	frame := make([]byte, probeLen)
	packet.SetMACs(frame, Broadcast, macFromKey(2<<40|id>>40<<16))
	binary.BigEndian.PutUint16(frame[12:], typeProbe)
	binary.BigEndian.PutUint64(frame[packet.EthernetLen+copy(frame[packet.EthernetLen:], probeMark):], id)
	return frame
}

// sendProbes sends a probe from every port that is not blocked.
func (b *Bridge) sendProbes(now time.Duration, out *Out) {
	for port := range b.guard {
		if _, blocked := b.Blocked(port, now); !blocked {
			frame := out.buffer(probeLen)
			copy(frame, b.probe)
			binary.BigEndian.PutUint16(frame[10:], uint16(port))
			binary.BigEndian.PutUint16(frame[probePort:], uint16(port))
			out.Send(port, Frame{Data: frame})
		}
	}
}

// isLooped reports whether the loop guard drops a frame that enters at a port. It blocks the port if the frame is a probe.
func (b *Bridge) isLooped(in int, frame []byte, now time.Duration) (blocked bool) {
	if b.guard == nil || len(frame) < probeLen || !bytes.Equal(frame[12:probePort], b.probe[12:probePort]) {
		_, blocked = b.Blocked(in, now)
		return blocked
	}
	if by := int(binary.BigEndian.Uint16(frame[probePort:])); by <= in {
		hold := loopHold + time.Duration((b.cfg.ProbeID^uint64(now))%uint64(loopHold))
		b.guard[in].by.Store(int64(by))
		if until := b.guard[in].until.Swap(int64(now + hold)); until <= int64(now) {
			b.Forget(in)
		}
	}
	return true
}

// Blocked reports whether the loop guard has blocked a port at a time on Forward's clock, and which port's probe has arrived there.
func (b *Bridge) Blocked(port int, now time.Duration) (by int, ok bool) {
	if b.guard == nil || int64(now) >= b.guard[port].until.Load() {
		return 0, false
	}
	return int(b.guard[port].by.Load()), true
}

// A Flap is a move of a station less than a second after its previous move: a loop, or two hosts with one MAC.
type Flap struct {
	MAC      MAC
	From, To int // ports
}

// TakeFlap returns the newest flap since the last call. It reports false if there is none.
func (b *Bridge) TakeFlap() (f Flap, ok bool) {
	b.flapMu.Lock()
	defer b.flapMu.Unlock()
	f, b.flap = b.flap, Flap{}
	return f, f != Flap{}
}
