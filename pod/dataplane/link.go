package dataplane

import (
	"sync/atomic"

	"github.com/podswitch/podswitch/pod/control"
)

// A link is the state of a device as status shows it. Its zero value is a device that is up. Several goroutines set and read it.
type link struct {
	isLost    atomic.Bool // the device does not exist, or is down
	noCarrier atomic.Bool // the keeper reports that the uplink is down, or that its other end is
	isAlone   atomic.Bool // the hypervisor has not opened the other side, or has not connected
}

// state returns the state of the link for status. A nil link is that of a port without a device, which is always up.
func (l *link) state() string {
	switch {
	case l == nil:
		return control.LinkUp
	case l.isLost.Load(), l.noCarrier.Load():
		return control.LinkDown
	case l.isAlone.Load():
		return control.LinkNoHypervisor
	}
	return control.LinkUp
}
