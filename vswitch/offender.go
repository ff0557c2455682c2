package vswitch

import (
	"encoding/binary"
	"strconv"
	"sync"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
)

// An Offender is the value in a frame for which it was dropped: a MAC, an IP address or a number such as a port. The sender of the
// frame chooses it. The zero value is none.
//
// A forwarder only keeps the newest one of each reason and port, so that an offender costs two atomic operations per dropped frame, and
// nothing for other frames. Texts are made from it outside the frame path.
type Offender struct {
	kind  offenderKind
	value lookup.Key
}

type offenderKind uint8

const (
	offenderMAC offenderKind = iota + 1
	offenderIPv4
	offenderIPv6
	offenderNumber
)

// An offenderCell holds the newest offender of a reason.
type offenderCell struct {
	mu sync.Mutex
	o  Offender
}

func offendingMAC(m MAC) Offender { return Offender{offenderMAC, m.tableKey()} }

// offendingIP returns none for the unspecified address: a host without an address sends from it, to join groups or to ask for an address.
func offendingIP(k lookup.Key, isIPv6 bool) Offender {
	switch {
	case k == lookup.Key{}:
		return Offender{}
	case isIPv6:
		return Offender{offenderIPv6, k}
	}
	return Offender{offenderIPv4, k}
}

// offendingNumber returns none for 0, which is neither a port nor a VLAN.
func offendingNumber(n uint16) Offender {
	if n == 0 {
		return Offender{}
	}
	return Offender{offenderNumber, lookup.Key{Hi: uint64(n)}}
}

// offendingTag returns the number of the outermost VLAN of a tagged frame.
func offendingTag(frame []byte) Offender {
	if len(frame) < packet.EthernetLen+2 {
		return Offender{}
	}
	return offendingNumber(binary.BigEndian.Uint16(frame[packet.EthernetLen:]) & 0xfff)
}

// String returns the MAC, the address or the number as text.
func (o Offender) String() string {
	switch o.kind {
	case offenderMAC:
		return macFromKey(o.value.Hi).String()
	case offenderIPv4, offenderIPv6:
		return o.value.Addr(o.kind == offenderIPv6).String()
	case offenderNumber:
		return strconv.FormatUint(o.value.Hi, 10)
	}
	return "none"
}

// offend records the newest offender of a reason, unless it is none or another goroutine records one.
func (c *Counters) offend(r Reason, o Offender) {
	if cell := &c.offenders[r]; o != (Offender{}) && cell.mu.TryLock() {
		cell.o = o
		cell.mu.Unlock()
	}
}

// TakeOffender returns the newest offender since the last call for the reason, and forgets it. It reports false if there is none: no
// drop, or one without a value to tell.
func (c *Counters) TakeOffender(r Reason) (o Offender, ok bool) {
	cell := &c.offenders[r]
	cell.mu.Lock()
	defer cell.mu.Unlock()
	o, cell.o = cell.o, Offender{}
	return o, o != Offender{}
}

// dropFor counts one frame as dropped at the ingress port, and records its offender.
func (o *Out) dropFor(r Reason, by Offender) {
	o.in.Drop(r, 1)
	o.in.offend(r, by)
}
