package oracle

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// probe returns the frame that the loop guard sends from a port.
func (b *Bridge) probe(port int) []byte {
	id := binary.BigEndian.AppendUint64(nil, b.cfg.ProbeID)
	number := []byte{byte(port >> 8), byte(port)}
	everybody := []byte{255, 255, 255, 255, 255, 255}
	frame := slices.Concat(everybody, []byte{2}, id[:3], number, []byte{0x88, 0xb5}, []byte("podswitch"), []byte{1}, id, number)
	return slices.Concat(frame, make([]byte, 60-len(frame)))
}

// guards reports whether the loop guard keeps a frame from entering, and blocks the port if the frame is the probe of a port. Nothing
// between the length of a frame and its probe's last field is checked, so that the addresses may be others.
func (b *Bridge) guards(in int, frame []byte, now time.Duration) bool {
	if b.cfg.ProbeID == 0 {
		return false
	}
	if len(frame) < 60 || string(frame[12:32]) != string(b.probe(0)[12:32]) {
		return b.isBlocked(in, now)
	}
	if sender := int(frame[32])<<8 + int(frame[33]); sender <= in {
		if !b.isBlocked(in, now) {
			b.Forget(in)
		}
		random := (uint64(now) ^ b.cfg.ProbeID) % 5_000_000_000
		b.blocked[in] = now + 5*time.Second + time.Duration(random)
	}
	return true
}

func (b *Bridge) isBlocked(port int, now time.Duration) bool { return now < b.blocked[port] }

// probes returns the frames of a tick.
func (b *Bridge) probes(now time.Duration) *Outcome {
	o := newOutcome()
	for port := 0; b.cfg.ProbeID != 0 && port < b.cfg.Ports; port++ {
		if !b.isBlocked(port, now) {
			o.send(port, vswitch.Frame{Data: b.probe(port)})
			o.Made++
		}
	}
	return o
}
