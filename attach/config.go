// Package attach attaches one guest to one pod: it builds the ports, takes the address, runs everything and gives back.
//
// Resolve finds out what is there and what would be done, without doing anything; Run does it. Which of the two connection
// methods applies, the VM document says: delegate.go moves the pod address to the guest, bridge.go runs a learning switch.
package attach

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// Config says what to attach to what.
type Config struct {
	VM           *model.VM
	PodInterface string
	Guest        tap.Spec
	GuestMAC     vswitch.MAC // the only MAC that the guest may have; the zero MAC: the document's, or any
	Offload      bool        // the guest takes frames with a checksum to complete and segments to cut
	Keep         []Keep
	StateDir     string // where the state file is, and the lock
	Control      string // path of the control socket
	Log          *zap.Logger
	Resolved     func(*Plan) // called once it is clear what will be done, before it is done; may be nil
}

// A Keep is a TCP port of the pod address that stays with the pod.
type Keep struct {
	Port   uint16 `json:"port"`
	Target string `json:"target"` // HOST:PORT that connections go to
}

// String writes k as ParseKeep reads it.
func (k Keep) String() string { return fmt.Sprintf("tcp/%d=%s", k.Port, k.Target) }

// ParseKeep reads tcp/PORT or tcp/PORT=HOST:PORT; without a target, it is the same port on 127.0.0.1.
func ParseKeep(text string) (Keep, error) {
	kept, target, hasTarget := strings.Cut(text, "=")
	number, isTCP := strings.CutPrefix(kept, "tcp/")
	port, err := strconv.ParseUint(number, 10, 16)
	if !isTCP || err != nil || port == 0 {
		return Keep{}, fmt.Errorf("kept port %q: want tcp/PORT or tcp/PORT=HOST:PORT, with a port from 1 to 65535", text)
	}
	if !hasTarget {
		target = net.JoinHostPort("127.0.0.1", number)
	}
	host, targetPort, err := net.SplitHostPort(target)
	if n, bad := strconv.ParseUint(targetPort, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		return Keep{}, fmt.Errorf("kept port %q: the target %q must be HOST:PORT", text, target)
	}
	return Keep{Port: uint16(port), Target: target}, nil
}

// pinnedMAC is the only MAC that the guest may have, or the zero MAC.
func (c *Config) pinnedMAC() vswitch.MAC {
	if c.GuestMAC.IsZero() && len(c.VM.Interface.MAC) == len(c.GuestMAC) {
		return vswitch.MAC(c.VM.Interface.MAC)
	}
	return c.GuestMAC
}
