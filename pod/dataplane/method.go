package dataplane

import (
	"context"
	"time"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/vswitch"
)

// A method is a connection method: a delegation or a bridging. One goroutine calls its functions, except those of source, attend and
// setGuestAbsent, which run concurrently in the work phase.
type method interface {
	// open makes the ports, with what the switch before had in them; nil: there was none. On an error, close follows.
	open(ctx context.Context, before *snapshot) error

	// start acquires the address from the kernel; resume continues where another switch stopped. One of them precedes forwarding.
	start()
	resume(s *snapshot) error

	// stop returns the address to the kernel.
	stop()

	// attend does what no frame causes. It returns nil when ctx is done, or an internal fault.
	attend(ctx context.Context) error

	// setGuestAbsent says whether the guest's device is away.
	setGuestAbsent(absent bool)

	// snapshot returns the state of everything but the ports.
	snapshot() snapshot

	forwarder() vswitch.Forwarder
	now() time.Duration     // the switch's clock
	portList() []namedPort  // in the forwarder's order
	source() control.Source // for the control socket
	close()                 // closes ports and services
}
