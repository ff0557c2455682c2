// Package tap turns kernel devices into switch ports: the user side of a tap, and the kernel side of any Ethernet device
// through a packet socket. It is the only user of /dev/net/tun and of packet sockets.
//
// Both kinds carry the virtio-net header of every frame, so that a 64 KiB segment passes without being cut. Waiting is
// package descriptor's.
package tap

import (
	"fmt"
	"strings"

	"github.com/podswitch/podswitch/vswitch"
)

// The kinds of attachment.
const (
	KindTap    = "tap"    // podswitch is the tap's user side
	KindPacket = "packet" // a packet socket on the kernel side of a device
)

// A Spec names a device and the side of it that becomes a port.
type Spec struct{ Kind, Name string }

// String writes KIND:NAME.
func (s Spec) String() string { return s.Kind + ":" + s.Name }

// CheckName tells whether name can be a network device's (Linux, net/core/dev.c, dev_valid_name).
func CheckName(name string) error {
	if name == "" || len(name) > 15 || name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n\v\f\r") {
		return fmt.Errorf("device name %q: want 1 to 15 bytes without '/', ':' and white space", name)
	}
	return nil
}

// Options say how an attachment is opened.
type Options struct {
	Offload  bool              // frames may leave with a checksum to complete and segments to cut
	MTU      int               // for a tap: its kernel side gets this MTU; 0: it keeps what it has
	Counters *vswitch.Counters // of the port; they outlive the attachment
}

// Open opens an attachment. The error is a *missing.Error when a device, a privilege or a kernel feature is missing.
func Open(s Spec, o Options) (vswitch.Port, error) {
	switch {
	case s.Kind == KindPacket && o.Offload:
		return openPacket(s.Name, o)
	case s.Kind == KindPacket:
		return Software(openPacket(s.Name, o))
	case o.Offload:
		return openOffloadTap(s.Name, o)
	default:
		return Software(openPlainTap(s.Name, o))
	}
}
