package vswitch

import "github.com/podswitch/podswitch/vnet"

// A Frame is one Ethernet frame with its unfinished offload work: a checksum to complete, segments to cut.
//
// A Frame is borrowed. As an argument it is valid until the call returns; from Receive, until the next Receive of the same port.
// Keep a copy of Data to use it for longer.
type Frame struct {
	Offload vnet.Header // the zero Header: the frame is complete
	Data    []byte      // from the destination MAC on, without the frame check sequence; a Forwarder may write to it
}

// MaxFrame is the largest length in bytes of a frame that a port receives or transmits: an IP packet of 64 KiB with an Ethernet header
// and one VLAN tag.
const MaxFrame = 65535 + 14 + 4

// BatchSize is the length of the batch that a Switch passes to Receive.
const BatchSize = 32

// A Port moves frames between a Switch and one attachment: a device, a socket, a network stack.
type Port interface {
	// Receive waits for one frame and then adds the frames that are available without waiting. It fills batch from index 0, with at
	// most len(batch) frames, and returns their number. It returns net.ErrClosed after Close, and another error if the attachment
	// is lost; n is 0 if err is not nil. Receive must not be called concurrently.
	Receive(batch []Frame) (n int, err error)

	// Transmit sends the frames in order. It does not change them and does not keep them. It never fails: a frame that the
	// attachment rejects or has no room for is counted as a drop. Transmit may be called concurrently.
	Transmit(batch []Frame)

	// Counters returns the port's counters, always the same. The port counts frames that it transmits or drops; the Switch counts
	// frames that it receives and the drops of its Forwarder.
	Counters() *Counters

	// Close closes the port and unblocks Receive. It may be called repeatedly and concurrently.
	Close() error
}

// An Interrupter is a Port that can stop receiving before it is closed, so that the frames that it has received can still be
// transmitted.
type Interrupter interface {
	// Interrupt unblocks Receive, which returns net.ErrClosed from then on. Frames that Receive has not returned stay in the
	// attachment, for the next port there. Transmit works until Close. Interrupt does not wait, and may be called repeatedly
	// and concurrently.
	Interrupt()
}

// A ThreadRunner is a Port that chooses the thread in which the switch receives from it: ports that exchange frames may share a
// thread.
type ThreadRunner interface {
	// RunInThread calls f in the port's thread and returns when f has returned. The switch calls Receive only within f.
	RunInThread(f func())
}
