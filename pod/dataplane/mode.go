package dataplane

import (
	"context"
	"encoding/json"
	"time"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/vswitch"
)

// A mode is a connection method of the VM document: a delegation or a bridging. One goroutine calls its functions, except those of source, background,
// setGuestAbsent and change, which run concurrently in the work phase.
type mode interface {
	// open makes the ports, and continues those of the snapshot unless it is nil. After an error the caller calls close.
	open(ctx context.Context, before *snapshot) error

	// start makes the switch the holder of the address, which the keeper has taken. resume continues from a snapshot instead, and
	// recall after a switch that has ended unasked, with what that one has learned (grant.Learned). One of them precedes forwarding.
	start()
	resume(snap *snapshot) error
	recall(learned json.RawMessage)

	// stop ends the use of the address, which the keeper then gives back to the kernel.
	stop()

	// background handles the events that no frame of a port causes. It returns nil when ctx is done, or an internal fault.
	background(ctx context.Context) error

	// setGuestAbsent reports that the guest's device has disappeared or returned.
	setGuestAbsent(absent bool)

	// change adopts a change of the pod's network.
	change(c *grant.Changed) error

	// snapshot returns the state of everything except the ports.
	snapshot() snapshot

	forwarder() vswitch.Forwarder
	now() time.Duration     // the switch's clock
	portList() []namedPort  // in the forwarder's order
	source() control.Source // for the control socket
	close()                 // closes ports and services
}
