// Package tap turns kernel devices into switch ports: the user side of a tap, and the kernel side of any Ethernet device
// through a packet socket. It is the only user of /dev/net/tun and of packet sockets.
//
// Both kinds carry the virtio-net header of every frame, so that a 64 KiB segment passes without being cut; and frames that arrive
// one by one are merged, if they are found together (merge.go). Waiting is
// package descriptor's. Opening a device needs privileges, and making a port of it does not: one process may do the one, and
// another one the other.
package tap

import (
	"fmt"
	"strings"
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

// Options say how a device is opened.
type Options struct {
	Offload bool // frames may leave with a checksum to complete and segments to cut
	MTU     int  // in bytes, for a tap: its kernel side gets this MTU; 0: it keeps what it has
}
