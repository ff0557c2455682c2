// Package tap turns kernel devices into switch ports: the user side of a tap, and the kernel side of any Ethernet device through a
// packet socket (packet(7)).
//
//	device, err := tap.OpenDevice(tap.Spec{Kind: tap.KindTap, Name: "tap0"}, tap.Options{Offload: true})
//	if err != nil {
//		return err
//	}
//	port, err := device.Port(new(vswitch.Counters))
//	if err != nil {
//		return err
//	}
//	defer port.Close() // port owns the descriptor
//
// Opening a device needs a privilege: CAP_NET_ADMIN for a tap, except for a persistent one that belongs to the user, and CAP_NET_RAW for
// a packet socket. Making a port of an open device needs none, so one process may open a Device and another one may use it.
//
// A port transfers the virtio-net header of every frame, so that a segment of 64 KiB passes without being cut, and merges frames of one
// batch that continue one another (merge.go). A port's Receive returns an error when the device is lost; NewReattaching makes a port that
// waits for the device and continues.
//
// # Files
//
//	device.go                 a Device, and the port of it
//	tun.go, socket.go, fd.go  open a tap and a packet socket, and inherit either
//	tap.go, packet.go         the port of a tap, and of a packet socket
//	filter.go                 ethertypes that a packet socket receives
//	pending.go, refused.go    errors of a packet socket; frames that some kernels refuse
//	merge.go, software.go     merge received frames; finish offload work for a device that does not
//	reattach.go               waits for a device that was lost
//	share.go                  ports that share a thread
package tap

import (
	"fmt"
	"strings"
)

// The kinds of attachment.
const (
	KindTap    = "tap"    // the user side of a tap
	KindPacket = "packet" // a packet socket on the kernel side of an Ethernet device
)

// A Spec names a device and the side of it that becomes a port. The zero value names none, and OpenDevice refuses it.
type Spec struct{ Kind, Name string }

// String returns KIND:NAME.
func (s Spec) String() string { return s.Kind + ":" + s.Name }

// CheckName returns an error if name cannot be the name of a network device (Linux, net/core/dev.c, dev_valid_name).
func CheckName(name string) error {
	if name == "" || len(name) > 15 || name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n\v\f\r") {
		return fmt.Errorf("device name %q: want 1 to 15 bytes without '/', ':' and white space", name)
	}
	return nil
}

// Options say how a device is opened. With the zero value, podswitch finishes offload work in software, and the MTU stays.
type Options struct {
	Offload bool // the device takes frames with an unfinished checksum or segments to cut, and finishes them; false: podswitch does, in software
	MTU     int  // in bytes, for a tap: set on its kernel side; 0: it stays as it is

	// Ethertypes are the types of frames that a packet socket receives; the kernel does not queue others. Frames with a VLAN tag count by
	// the type behind the tag if the driver has removed it (PACKET_AUXDATA), and by the tag's own otherwise. Nil: all frames.
	Ethertypes []uint16

	// OwnFrames makes a packet socket receive only frames that the device's own kernel would take: to its MAC, to a group, or to all. A
	// bridge on the other side may flood frames for other hosts, and the device need not become promiscuous. False: frames with any
	// destination MAC.
	OwnFrames bool
}
