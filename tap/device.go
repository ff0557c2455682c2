package tap

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A Device is an open device that a port can be made of, also in another process than the one that opened it: there it needs no
// privilege and no ioctl. What arrives before the port is made waits in the kernel. Its JSON is what the other process is told;
// the descriptor travels beside it.
type Device struct {
	FD        int     `json:"-"`          // the open file; who holds the Device owns it
	Name      string  `json:"name"`       // for messages: the device's name, or fd:N of an inherited one
	Kind      string  `json:"kind"`       // KindTap or KindPacket
	HeaderLen int     `json:"header_len"` // bytes of virtio-net header before each frame; 0, which only a tap may have: none
	Offload   bool    `json:"offload"`    // the device completes checksums and cuts segments; false: the port does that in software
	Merge     Merging `json:"-"`          // what the port merges; each process asks its kernel: Mergeable
}

// OpenDevice opens a device. What it is to do for the port is set; a tap that does not exist is made. The error is a
// *missing.Error when a device, a privilege or a kernel feature is missing.
func OpenDevice(s Spec, o Options) (Device, error) {
	d := Device{FD: -1, Name: s.Name, Kind: s.Kind, HeaderLen: vnet.Size, Offload: o.Offload, Merge: Mergeable()}
	var err error
	switch {
	case s.Kind == KindPacket:
		d.FD, err = openPacket(s.Name)
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

// Port makes a port of the device, whose file the port owns from here on, also when an error is returned. The counters outlive the
// port. It merges what it receives: a frame that it returns may be several that continue one another, with what is to be cut where it
// leaves. Port trusts no field, because they may come from another process; an error names the one that is wrong.
func (d Device) Port(c *vswitch.Counters) (vswitch.Port, error) {
	if d.FD < 0 {
		return nil, fmt.Errorf("a port of %s:%s: the descriptor is %d; want that of an open device", d.Kind, d.Name, d.FD)
	}
	if err := d.check(); err != nil {
		return nil, errors.Join(fmt.Errorf("a port of %s: %w", d.Name, err), d.Close())
	}
	p, err := d.newPort(c)
	if err != nil {
		return nil, fmt.Errorf("a port of %s:%s: %w", d.Kind, d.Name, err)
	}
	if !d.Offload {
		return WithSoftwareOffloads(p, d.Merge), nil
	}
	return &mergingPort{p, d.Merge}, nil
}

func (d Device) newPort(c *vswitch.Counters) (vswitch.Port, error) {
	if d.Kind == KindTap {
		return newTap(d.FD, d.HeaderLen, c)
	}
	return newPacket(d.FD, c)
}

// check tells whether the fields fit together.
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

// Close closes a device that no port was made of. It must not be called twice.
func (d Device) Close() error {
	if err := unix.Close(d.FD); err != nil {
		return fmt.Errorf("close %s:%s: %w", d.Kind, d.Name, err)
	}
	return nil
}
