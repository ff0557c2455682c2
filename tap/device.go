package tap

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A Device is an open and configured device, of which Port makes a port. It may be used in another process than the one that opened
// it: FD travels by SCM_RIGHTS (unix(7)) and the other fields as JSON. Frames that arrive before there is a port wait in the kernel.
// The owner of a Device owns FD until Port or Close. The zero value is not valid.
type Device struct {
	FD        int        `json:"-"`              // the open file
	Name      string     `json:"name"`           // for messages: the device's name, or fd:N of an inherited descriptor
	Link      string     `json:"link,omitempty"` // the device's name, if it is in the network namespace of the process that has opened it; otherwise empty
	Kind      string     `json:"kind"`           // KindTap or KindPacket
	HeaderLen int        `json:"header_len"`     // bytes of virtio-net header before each frame; 0: none, possible for a tap only
	Offload   bool       `json:"offload"`        // the device takes frames with an unfinished checksum or segments to cut, and finishes them; false: podswitch does, in software
	Merge     Merging    `json:"-"`              // frames that the port merges; MergeSegments from OpenDevice; Mergeable says what else may be
	Drops     *LinkDrops `json:"-"`              // where the drops of the device's own queue are counted; nil: they are not
	Events    Events     `json:"-"`              // what the port reports; nil: nothing
}

// Events are reports of a port. They must not block.
type Events interface {
	// UnknownOffload reports that a packet socket has lost a frame, because the kernel cannot describe its offloads: segments of SCTP,
	// or a datagram to be cut into fragments that the port did not expect.
	UnknownOffload()

	// TooBig reports that a packet socket has refused a frame above the MTU of the device. The frame is valid until TooBig returns, which
	// must not transmit.
	TooBig(frame []byte)
}

// OpenDevice opens and configures a device, and creates a tap that does not exist. The error is a *missing.Error if the device, a
// privilege or a kernel feature is missing; then nothing stays open.
func OpenDevice(s Spec, o Options) (Device, error) {
	d := Device{FD: -1, Name: s.Name, Link: s.Name, Kind: s.Kind, HeaderLen: vnet.Size, Offload: o.Offload, Merge: MergeSegments}
	var err error
	switch {
	case s.Kind == KindPacket:
		d.FD, err = openPacket(s.Name, o)
	case s.Kind == KindTap && o.Offload:
		d.FD, err = openOffloadTap(s.Name, o)
	case s.Kind == KindTap:
		d.HeaderLen = 0
		d.FD, err = openPlainTap(s.Name, o)
	default:
		return d, fmt.Errorf("open %s: want %s:NAME or %s:NAME", s, KindTap, KindPacket)
	}
	return d, err
}

// Port makes a port of the device. The port owns FD from here on; after an error FD is closed. c outlives the port, and several ports
// that follow one another may share it.
//
// A frame that Receive returns may consist of several received frames, with the segmentation left to do. Receive returns an *os.SyscallError
// when the device is lost: ENETDOWN or ENXIO from a packet socket, EBADFD from a tap that was deleted. Transmit drops a frame as port-full
// if the device's queue is full, port-down if the device is down, too-big above its MTU, and transmit-error for another error. The port is a
// vswitch.Interrupter.
//
// Port needs no privilege and makes no ioctl. It checks every field, because they may come from another process; the error names the wrong
// one.
func (d Device) Port(c *vswitch.Counters) (vswitch.Port, error) {
	if d.FD < 0 {
		return nil, fmt.Errorf("make a port of %s:%s: the descriptor is %d; want an open one", d.Kind, d.Name, d.FD)
	}
	if err := d.check(); err != nil {
		return nil, errors.Join(fmt.Errorf("make a port of %s: %w", d.Name, err), d.Close())
	}
	p, err := d.newPort(c)
	if err != nil {
		return nil, fmt.Errorf("make a port of %s:%s: %w", d.Kind, d.Name, err)
	}
	if !d.Offload {
		return newSoftwarePort(p, d.Merge, newDropCollector(&d)), nil
	}
	return &mergingPort{p, d.Merge, newDropCollector(&d)}, nil
}

func (d Device) newPort(c *vswitch.Counters) (vswitch.Port, error) {
	if d.Kind == KindTap {
		return newTap(d.FD, d.HeaderLen, c)
	}
	return newPacket(d.FD, c, d.Events)
}

// check returns an error if the fields contradict one another.
func (d Device) check() error {
	switch {
	case d.Kind != KindTap && d.Kind != KindPacket:
		return fmt.Errorf("the kind is %q; want %q or %q", d.Kind, KindTap, KindPacket)
	case d.HeaderLen != vnet.Size && d.HeaderLen != 0:
		return fmt.Errorf("the virtio-net header has %d bytes; want %d, or 0 for none", d.HeaderLen, vnet.Size)
	case d.HeaderLen == 0 && d.Kind == KindPacket:
		return fmt.Errorf("a packet socket without virtio-net headers; want %d bytes before each frame", vnet.Size)
	case d.HeaderLen == 0 && d.Offload:
		return errors.New("offloads without virtio-net headers; want both or neither")
	}
	return nil
}

// Close closes FD. It is for a device of which no port was made, and must not be called twice.
func (d Device) Close() error {
	if err := unix.Close(d.FD); err != nil {
		return fmt.Errorf("close %s:%s: %w", d.Kind, d.Name, err)
	}
	return nil
}
