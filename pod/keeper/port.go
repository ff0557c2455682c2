package keeper

import (
	"errors"
	"io"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/unixport"
)

// errUplinkGone ends a run: the guest has no network without the pod interface.
var errUplinkGone = errors.New("the pod interface has disappeared")

// A portSpec describes a port. It does not change.
type portSpec struct {
	name    string // as status shows it
	spec    hypervisor.Attachment
	offload bool         // the device takes frames with an unfinished checksum or segments to cut, and finishes them; false: podswitch does, in software
	mtu     int          // for a tap: MTU that its kernel side gets; 0: it keeps its own
	owner   int          // user id that a socket is given to; -1: this process's own
	guest   bool         // the device may appear later, and the pod's kernel is kept out of it
	uplink  *podnet.Link // the pod interface; nil: the port is another one
	types   []uint16     // ethertypes that a packet socket receives; nil: all
	own     bool         // a packet socket receives only frames that the pod's kernel would take
}

// A port is what the loop has of a port.
type port struct {
	portSpec
	handle *handle // nil: the device is not there
	opener *opener // nil: lent to a goroutine that opens the port again
}

func newPort(s portSpec, log *zap.Logger) *port {
	return &port{portSpec: s, opener: &opener{portSpec: s, log: log, limit: rate.NewLimiter(rate.Every(reopenRefill), reopenBurst)}}
}

// lend returns the opener for a goroutine, which gives it back with its result; nil: another goroutine has it. A device is closed
// first, because a tap cannot be opened twice (EBUSY). A socket stays open: a device can be lost, a socket cannot.
func (p *port) lend() *opener {
	o := p.opener
	if o == nil {
		return nil
	}
	p.opener = nil
	if p.handle != nil && p.handle.socket == nil {
		p.revoke()
		_ = p.handle.close()
		p.handle = nil
	}
	return o
}

// revoke takes a packet socket that the keeper has opened from the switches that have a copy of its descriptor, as far as the kernel allows
// that (tap.Device.Revoke). A switch that keeps its copy would keep megabytes of the kernel's memory with it. An inherited socket may be in
// use elsewhere.
func (p *port) revoke() {
	if p.handle != nil && p.handle.device != nil && p.spec.Kind == hypervisor.KindPacket {
		_ = p.handle.device.Revoke() // fails for a lost device at most, which receives nothing
	}
}

// replace puts a new handle in the place of the old one, if there is one.
func (p *port) replace(h *handle) {
	if p.handle != nil {
		_ = p.handle.close()
	}
	p.handle = h
}

// close closes everything but a lent opener, whose goroutine abandons it.
func (p *port) close() (err error) {
	if p.handle != nil {
		p.revoke()
		err, p.handle = p.handle.close(), nil
	}
	if p.opener != nil {
		p.opener.close()
	}
	return err
}

// A handle is the keeper's descriptor of an open device or socket. It stays open as long as there is a switch, because another
// switch may take over.
type handle struct {
	device *tap.Device      // nil: a socket
	socket *unixport.Socket // nil: a device
	file   io.Closer        // removes the file of a socket; nil: it has none
}

func (h *handle) fd() int {
	if h.device != nil {
		return h.device.FD
	}
	return h.socket.FD
}

// close removes the file before it closes the descriptor, so that no peer connects to a socket that does not accept.
func (h *handle) close() (err error) {
	if h.file != nil {
		err = h.file.Close()
	}
	return errors.Join(err, grant.CloseFiles([]int{h.fd()}))
}
