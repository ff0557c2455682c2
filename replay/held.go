package replay

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/podswitch/podswitch/vswitch"
)

// A heldFrame is a frame that the forwarder may hold until its next hop is resolved. Each frame has its own counters: the forwarder
// counts a drop at the counters with which the frame entered.
type heldFrame struct {
	number   int
	data     []byte // as it entered
	counters *vswitch.Counters
	isSent   bool // the frame, or a fragment of it
}

// setOutcome sets the outcome of the frame that has entered.
func (p *Player) setOutcome(entered *heldFrame, r *Record, isSent bool) {
	switch drops := entered.counters.Drops(); {
	case len(drops) > 0:
		p.dropped(r, drops)
	case isSent || !p.canBeHeld(entered, r):
		r.Outcome = Sent
		if len(r.Out) == 0 {
			r.Outcome = Noted
			p.summary.Noted++
			return
		}
		p.summary.Sent++
	default:
		r.Outcome = Held
		p.held = append(p.held, entered)
	}
}

// canBeHeld reports whether the forwarder holds a frame that it has neither dropped nor sent: a packet towards the wire.
func (p *Player) canBeHeld(entered *heldFrame, r *Record) bool {
	return p.delegate != nil && isPacket(entered.data) && (r.In == "guest" || r.In == "pod")
}

// isPacket reports whether the frame has IP that a forwarder may send to another link.
func isPacket(frame []byte) bool {
	if len(frame) < ethernetLen+ipv4Len {
		return false
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case typeIPv4:
		return true
	case typeIPv6:
		if len(frame) < ethernetLen+ipv6Len {
			return false
		}
		u := upperLayerOf(frame[ethernetLen:])
		return !u.isControl()
	}
	return false
}

// release returns the number of the held frame that leaves with these bytes, or 0 if there is none. Frames are held in the order in
// which they entered.
func (p *Player) release(data []byte) int {
	for _, h := range p.held {
		changed, same := compare(h, data)
		if same && changed == 0 && !h.isSent {
			return p.markSent(h)
		}
	}
	for _, h := range p.held {
		_, same := compare(h, data) // the MSS may have changed
		if same && !h.isSent || isFragment(h.data, data) || !h.isSent && isTrimmed(h.data, data) {
			return p.markSent(h)
		}
	}
	return 0
}

func (p *Player) markSent(h *heldFrame) (number int) {
	if !h.isSent {
		p.summary.Sent++
	}
	h.isSent = true
	return h.number
}

// lateDrops adds the drops of held frames to the record.
func (p *Player) lateDrops(r *Record) {
	p.held = slices.DeleteFunc(p.held, func(h *heldFrame) bool {
		drops := h.counters.Drops()
		for reason, n := range drops {
			r.Late = append(r.Late, Late{h.number, reason, n})
		}
		p.count(drops)
		if len(drops) > 0 {
			p.summary.Dropped++
		}
		return len(drops) > 0
	})
}

// maxChanged is the number of bytes behind the MACs that a forwarder rewrites at most: the MSS and the checksum.
const maxChanged = 4

// macsLen is the length in bytes of the two MACs at the beginning of a frame.
const macsLen = 12

// compare returns the number of bytes behind the MACs that differ between a frame that has entered and one that leaves. It reports
// false if the two are not the same frame: another length, or more differences than a forwarder makes.
func compare(entered *heldFrame, data []byte) (changed int, same bool) {
	if entered == nil || len(data) != len(entered.data) || len(data) < macsLen {
		return 0, false
	}
	for i := macsLen; i < len(data); i++ {
		if data[i] != entered.data[i] {
			changed++
		}
	}
	return changed, changed <= maxChanged
}

// isTrimmed reports whether a frame that leaves is one that has entered, without its Ethernet padding.
func isTrimmed(whole, rest []byte) bool {
	return len(rest) >= ethernetLen+ipv4Len && len(rest) < len(whole) && bytes.Equal(whole[macsLen:len(rest)], rest[macsLen:])
}

// isFragment reports whether an IPv4 packet that leaves is a fragment of one that has entered: it has the same addresses and identification.
// IPv6 packets are not fragmented on their way.
func isFragment(whole, piece []byte) bool {
	const addresses, identification, fragment = ethernetLen + 12, ethernetLen + 4, ethernetLen + 6
	if len(whole) < ethernetLen+ipv4Len || len(piece) < ethernetLen+ipv4Len || len(piece) >= len(whole) ||
		binary.BigEndian.Uint16(piece[12:]) != typeIPv4 {
		return false
	}
	if binary.BigEndian.Uint16(piece[fragment:])&0x3fff == 0 { // neither an offset nor "more"
		return false
	}
	return bytes.Equal(whole[addresses:addresses+8], piece[addresses:addresses+8]) &&
		bytes.Equal(whole[identification:identification+2], piece[identification:identification+2])
}
