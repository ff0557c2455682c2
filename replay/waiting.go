package replay

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/podswitch/podswitch/vswitch"
)

// A waiter is a frame that may still be somewhere in the switch, which counts its drops where it entered.
type waiter struct {
	number   int
	data     []byte // as it entered
	counters *vswitch.Counters
	left     bool // it, or a piece of it
}

// settle says what became of the frame itself.
func (p *Player) settle(w *waiter, r *Record, itself bool) {
	switch drops := w.counters.Drops(); {
	case len(drops) > 0:
		p.dropped(r, drops)
	case itself || !p.mayWait(w, r):
		r.Outcome = Sent
		if len(r.Out) == 0 {
			r.Outcome = Noted
			p.summary.Noted++
			return
		}
		p.summary.Sent++
	default:
		r.Outcome = Held
		p.waiting = append(p.waiting, w)
	}
}

// mayWait tells whether a frame that was not dropped and did not leave waits for its next hop: IPv4 on its way to the wire does.
func (p *Player) mayWait(w *waiter, r *Record) bool {
	isIPv4 := len(w.data) >= ethernetLen && binary.BigEndian.Uint16(w.data[12:]) == typeIPv4
	return p.delegate != nil && isIPv4 && (r.In == "guest" || r.In == "pod")
}

// release finds the waiting frame that leaves now, and returns its number. Frames wait in the order in which they came.
func (p *Player) release(data []byte) int {
	for _, w := range p.waiting {
		changed, same := differ(w, data)
		if exact := same && changed == 0; exact && !w.left {
			return p.letGo(w)
		}
	}
	for _, w := range p.waiting {
		_, same := differ(w, data) // but for its MSS
		if same && !w.left || isFragment(w.data, data) || !w.left && isTrimmed(w.data, data) {
			return p.letGo(w)
		}
	}
	return 0
}

func (p *Player) letGo(w *waiter) int {
	if !w.left {
		p.summary.Sent++
	}
	w.left = true
	return w.number
}

// lateDrops finds the waiting frames that were dropped.
func (p *Player) lateDrops(r *Record) {
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiter) bool {
		drops := w.counters.Drops()
		for reason, n := range drops {
			r.Late = append(r.Late, Late{w.number, reason, n})
		}
		p.count(drops)
		if len(drops) > 0 {
			p.summary.Dropped++
		}
		return len(drops) > 0
	})
}

// changedAtMost is how many bytes behind the MACs a forwarder rewrites in a frame that it forwards: the MSS and the checksum.
const changedAtMost = 4

// differ compares what leaves with what entered, and counts the bytes behind the MACs that are not the same. It is another
// frame where more of them differ than a forwarder rewrites.
func differ(w *waiter, data []byte) (changed int, same bool) {
	const behind = 12
	if w == nil || len(data) != len(w.data) || len(data) < behind {
		return 0, false
	}
	for i := behind; i < len(data); i++ {
		if data[i] != w.data[i] {
			changed++
		}
	}
	return changed, changed <= changedAtMost
}

// isTrimmed tells whether a frame that leaves is one that entered without its Ethernet padding.
func isTrimmed(whole, rest []byte) bool {
	const behind = 12
	return len(rest) >= ethernetLen+ipv4Len && len(rest) < len(whole) && bytes.Equal(whole[behind:len(rest)], rest[behind:])
}

// isFragment tells whether a packet that leaves is a piece of one that entered: the same addresses and identification.
func isFragment(whole, piece []byte) bool {
	const addresses, identification, fragment = ethernetLen + 12, ethernetLen + 4, ethernetLen + 6
	if len(whole) < ethernetLen+ipv4Len || len(piece) < ethernetLen+ipv4Len || len(piece) >= len(whole) {
		return false
	}
	if binary.BigEndian.Uint16(piece[fragment:])&0x3fff == 0 { // neither an offset nor "more"
		return false
	}
	return bytes.Equal(whole[addresses:addresses+8], piece[addresses:addresses+8]) &&
		bytes.Equal(whole[identification:identification+2], piece[identification:identification+2])
}
