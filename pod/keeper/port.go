package keeper

import (
	"errors"
	"fmt"
	"io"
	"sync"

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
	offload bool           // the device takes frames with an unfinished checksum or segments to cut, and finishes them; false: podswitch does, in software
	mtu     int            // for a tap: MTU that its kernel side gets; 0: it keeps its own
	owner   int            // user id that a socket is given to; -1: this process's own
	guest   bool           // the device may appear later, and the pod's kernel is kept out of it
	uplink  *podnet.Link   // the pod interface; nil: the port is another one
	egress  *podnet.Egress // the way out of the pod's own processes, which is configured each time that the tap is open; nil: the port is another one
	types   []uint16       // ethertypes that a packet socket receives; nil: all
	own     bool           // a packet socket receives only frames that the pod's kernel would take
}

// A port is what the loop has of a port.
type port struct {
	portSpec
	handle *handle // nil: the device is not there
	opener *opener // nil: lent to a goroutine that opens the port again
	log    *zap.Logger
}

func newPort(s portSpec, log *zap.Logger) *port {
	return &port{portSpec: s, log: log, opener: &opener{portSpec: s, log: log, limit: rate.NewLimiter(rate.Every(reopenRefill), reopenBurst)}}
}

// lend returns the opener for a goroutine, which gives it back with its result; nil: another goroutine has it. A device is closed
// first, because a tap cannot be opened twice (EBUSY). A socket stays open: a device can be lost, a socket cannot. The error is
// errNotRevoked, and nothing is closed then.
func (p *port) lend() (o *opener, err error) {
	if p.opener == nil {
		return nil, nil
	}
	if p.handle != nil && p.handle.socket == nil {
		if err := p.revoke(); err != nil {
			return nil, err
		}
		_ = p.handle.close()
		p.handle = nil
	}
	o, p.opener = p.opener, nil
	return o, nil
}

// errNotRevoked means that a process without the sandbox of a switch has kept the keeper from revoking a packet socket.
var errNotRevoked = errors.New("a switch has kept its socket from being revoked")

// revoke takes a packet socket that the keeper has opened, and the way out of the pod's processes, from the switches that have a copy of its
// descriptor (tap.Device.Revoke). A switch that keeps its copy would keep megabytes of the kernel's memory with it, and could answer for the
// pod, or keep its routes. An inherited socket may be in use elsewhere.
func (p *port) revoke() error {
	h := p.handle
	if h == nil || h.device == nil || p.spec.Kind != hypervisor.KindPacket && p.egress == nil {
		return nil
	}
	h.revoked.Do(func() {
		if p.egress != nil {
			if err := podnet.RemoveTap(h.device.FD); err != nil {
				p.log.Warn("the way out of the pod's own processes is not removed", zap.Error(err))
			}
			return
		}
		if err := h.device.Revoke(); err != nil {
			h.kept = fmt.Errorf("%v: %w: %w", p.spec, errNotRevoked, err)
		}
	})
	return h.kept
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
		err = p.revoke()
		err, p.handle = errors.Join(err, p.handle.close()), nil
	}
	if p.opener != nil {
		p.opener.close()
	}
	return err
}

// A handle is the keeper's descriptor of an open device or socket. It stays open as long as there is a switch, because another
// switch may take over.
type handle struct {
	device  *tap.Device      // nil: a socket
	socket  *unixport.Socket // nil: a device
	file    io.Closer        // removes the file of a socket; nil: it has none
	fence   io.Closer        // of the way out of the pod's own processes; nil: it has none
	revoked sync.Once        // a second attempt would fail
	kept    error            // errNotRevoked; nil: it was revoked, or not yet
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
	err = errors.Join(err, grant.CloseFiles([]int{h.fd()}))
	if h.fence != nil {
		err = errors.Join(err, h.fence.Close())
	}
	return err
}
