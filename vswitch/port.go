package vswitch

import "github.com/podswitch/podswitch/vnet"

// A Frame is one Ethernet frame with the work that its sender left undone. It is borrowed: valid until the call that it
// was passed to returns, or, from Receive, until the next Receive of the same port.
type Frame struct {
	Offload vnet.Header // checksum to complete, segments to cut
	Data    []byte      // from the destination MAC on, without the frame check sequence; private to the switch, writable
}

// MaxFrame is the largest frame in bytes that a port delivers or takes: an IP packet of 64 KiB behind an Ethernet header
// and one VLAN tag.
const MaxFrame = 65535 + 14 + 4

// BatchSize is the number of frames that a Receive may return at most.
const BatchSize = 32

// A Port moves frames between the switch and one attachment.
type Port interface {
	// Receive waits for the first frame only, and then takes what is there without waiting: at most len(batch) frames,
	// which it fills in from index 0. It returns net.ErrClosed after Close, and another error when the attachment is
	// lost; no frames come with an error. Only one goroutine calls it.
	Receive(batch []Frame) (n int, err error)

	// Transmit sends the frames in order and does not change them. It never fails for want of room: what does not fit
	// is a counted drop. Any goroutine may call it.
	Transmit(batch []Frame)

	// Counters are the port's own, for as long as it lives; the switch adds what it sees.
	Counters() *Counters

	// Close is idempotent and unblocks Receive.
	Close() error
}

// An Interrupter is a Port that can stop receiving without being closed, so that what was received can still leave.
type Interrupter interface {
	// Interrupt unblocks Receive, which returns net.ErrClosed from then on; frames that it has not returned stay where
	// they are, for whoever has the attachment next. Transmit works on until Close. It is idempotent, does not wait, and
	// any goroutine may call it.
	Interrupt()
}

// A ThreadRunner is a Port that chooses the thread in which the switch receives from it: ports that exchange frames may share a
// thread.
type ThreadRunner interface {
	// RunInThread calls f in the port's thread and returns when f has returned. The switch calls Receive only within f.
	RunInThread(f func())
}
