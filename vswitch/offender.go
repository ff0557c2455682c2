package vswitch

import (
	"encoding/binary"
	"strconv"
)

// An Offender is the value in a frame for which it was dropped: a MAC, an IPv4 address or a number such as a port. The sender of the
// frame chooses it. The zero value is none.
//
// A forwarder only keeps the newest one of each reason and port, so that an offender costs an atomic store per dropped frame, and nothing
// for other frames. Texts are made from it outside the frame path.
type Offender uint64

// The kind of an Offender is in the byte above its value.
const (
	offenderKind          = 56
	offenderMAC  Offender = 1 << offenderKind
	offenderIP   Offender = 2 << offenderKind
	offenderNo   Offender = 3 << offenderKind
)

func offendingMAC(m MAC) Offender { return offenderMAC | Offender(m.key()) }

// offendingIP returns none for 0.0.0.0: a host without an address sends from it, to join groups or to ask for an address.
func offendingIP(k key) Offender {
	if k == (key{}) {
		return 0
	}
	return offenderIP | Offender(k.hi>>32)
}

// offendingNumber returns none for 0, which is neither a port nor a VLAN.
func offendingNumber(n uint16) Offender {
	if n == 0 {
		return 0
	}
	return offenderNo | Offender(n)
}

// offendingTag returns the number of the outermost VLAN of a tagged frame.
func offendingTag(frame []byte) Offender {
	if len(frame) < ethernetLen+2 {
		return 0
	}
	return offendingNumber(binary.BigEndian.Uint16(frame[ethernetLen:]) & 0xfff)
}

// String returns the MAC, the address or the number as text.
func (o Offender) String() string {
	switch value := uint64(o) &^ (0xff << offenderKind); o >> offenderKind << offenderKind {
	case offenderMAC:
		return macFromKey(value).String()
	case offenderIP:
		return key{hi: value << 32}.addr(false).String()
	case offenderNo:
		return strconv.FormatUint(value, 10)
	}
	return "none"
}

// offend records the newest offender of a reason, unless it is none.
func (c *Counters) offend(r Reason, o Offender) {
	if o != 0 && c.offenders[r].Load() != uint64(o) {
		c.offenders[r].Store(uint64(o))
	}
}

// TakeOffender returns the newest offender since the last call for the reason, and forgets it. It reports false if there is none: no
// drop, or one without a value to tell.
func (c *Counters) TakeOffender(r Reason) (o Offender, ok bool) {
	o = Offender(c.offenders[r].Swap(0))
	return o, o != 0
}

// dropFor counts one frame as dropped at the ingress port, and records its offender.
func (o *Out) dropFor(r Reason, by Offender) {
	o.in.Drop(r, 1)
	o.in.offend(r, by)
}
