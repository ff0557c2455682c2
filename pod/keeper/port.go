package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/unixport"
)

// reopenEvery is how often a device that was lost is tried again until it can be opened.
const reopenEvery = 250 * time.Millisecond

// ErrLinkGone ends a run: without its interface the pod has no network to attach to.
var ErrLinkGone = errors.New("the pod interface has disappeared")

// A port is an attachment that the keeper opens, and opens again when the switch has lost it.
type port struct {
	name    string
	spec    hypervisor.Attachment
	offload bool
	mtu     int          // for a tap: its kernel side gets this MTU; 0: it keeps what it has
	owner   int          // user that a socket is given to; -1: nobody else
	guest   bool         // the pod's kernel is kept out of it, and it may come later
	uplink  *podnet.Link // the pod interface, of which another one of the same name is none; nil: it is another port
	log     *zap.Logger

	// The following belong to the loop.
	handle    *handle // nil: the device is not there
	reopening bool

	// The following belong to whom opens: nobody else does meanwhile.
	index int       // of the kernel's device that was opened last
	quiet io.Closer // keeps the kernel silent on it; nil where that is not needed
	stuck string    // why it could not be opened the last time
}

// An opened attachment is a device or a socket. The keeper's descriptor stays open as long as the switch may need it: another
// switch may go on with it.
type handle struct {
	device *tap.Device
	socket *unixport.Socket
	file   io.Closer // of a socket that has one in the file system; may be nil
}

func (h *handle) fd() int {
	if h.device != nil {
		return h.device.FD
	}
	return h.socket.FD
}

func (h *handle) close() (err error) {
	if h.file != nil { // first, so that nobody connects to what nobody accepts
		err = h.file.Close()
	}
	return errors.Join(err, grant.CloseFiles([]int{h.fd()}))
}

// open opens the attachment for the first time. A guest's device may come later, because a hypervisor makes its tap when it
// starts: then there is neither a result nor an error.
func (p *port) open() (*handle, error) {
	if _, err := net.InterfaceByName(p.spec.Name); err != nil && p.guest && p.spec.Kind == hypervisor.KindPacket {
		p.log.Warn("the device is not there yet, waiting for it", zap.Stringer("port", p.spec))
		return nil, nil
	}
	return p.openOnce()
}

func (p *port) openOnce() (*handle, error) {
	switch p.spec.Kind {
	case hypervisor.KindStream:
		s, file, err := unixport.Listen(p.spec.Name, p.owner)
		return socketHandle(s, file, err)
	case hypervisor.KindDgram:
		local, remote, _ := strings.Cut(p.spec.Name, ",")
		s, file, err := unixport.Bind(local, remote, p.owner)
		return socketHandle(s, file, err)
	case hypervisor.KindFD:
		return p.inherit()
	case hypervisor.KindPacket:
		p.prepare()
	}
	return deviceHandle(tap.OpenDevice(tap.Spec{Kind: p.spec.Kind, Name: p.spec.Name}, p.options()))
}

func (p *port) options() tap.Options { return tap.Options{Offload: p.offload, MTU: p.mtu} }

// inherit takes over an inherited descriptor: a unix socket or a device.
func (p *port) inherit() (*handle, error) {
	fd, err := strconv.Atoi(p.spec.Name)
	if err != nil {
		return nil, err
	}
	isUnix, err := unixport.Inherited(fd)
	switch {
	case err != nil:
		return nil, err
	case isUnix:
		s, err := unixport.Inherit(fd)
		return socketHandle(s, nil, err)
	}
	return deviceHandle(tap.InheritDevice(fd, p.options()))
}

func socketHandle(s unixport.Socket, file io.Closer, err error) (*handle, error) {
	if err != nil {
		return nil, err
	}
	return &handle{socket: &s, file: file}, nil
}

func deviceHandle(d tap.Device, err error) (*handle, error) {
	if err != nil {
		return nil, err
	}
	return &handle{device: &d}, nil
}

// prepare makes a device ready that has its kernel side in this namespace: it is brought up once, because a hypervisor leaves
// that to others, and the pod's kernel is kept out of what passes between the device and the switch.
func (p *port) prepare() {
	link, err := net.InterfaceByName(p.spec.Name)
	if err != nil || p.uplink != nil || link.Index == p.index {
		return
	}
	p.speak()
	if p.guest {
		if p.quiet, err = podnet.Silence(p.spec.Name); err != nil {
			p.quiet = nil
			p.log.Warn("the pod's kernel takes part in what the guest says", zap.Stringer("port", p.spec), zap.Error(err))
		}
	}
	if changed, err := tap.SetUp(p.spec.Name); err == nil && changed {
		p.log.Info("brought the device up", zap.Stringer("port", p.spec))
	}
	p.index = link.Index
}

// speak lets the kernel speak on the device again.
func (p *port) speak() {
	if p.quiet != nil {
		p.quiet.Close()
		p.quiet = nil
	}
}

// close closes what is open. Who opens at the moment abandons it then.
func (p *port) close() (err error) {
	if p.handle != nil {
		err, p.handle = p.handle.close(), nil
	}
	if !p.reopening {
		p.speak()
	}
	return err
}

// abandon closes what was opened for nobody.
func (p *port) abandon(h *handle) {
	if h != nil {
		_ = h.close()
	}
	p.speak()
}

// reopen waits until the attachment can be opened again. An error is that of ctx, or says that it never can be.
func (p *port) reopen(ctx context.Context) (*handle, error) {
	for {
		if err := p.await(ctx); err != nil {
			return nil, err
		}
		h, err := p.openOnce()
		if err == nil {
			p.stuck = ""
			return h, nil
		}
		if text := err.Error(); text != p.stuck {
			p.stuck = text
			p.log.Warn("device cannot be opened, trying on", zap.Stringer("port", p.spec), zap.Error(err))
		}
	}
}

// await waits a moment, for a packet socket until its device is there, and for the end where nothing can come back.
func (p *port) await(ctx context.Context) error {
	switch {
	case p.uplink != nil:
		return p.awaitUplink(ctx)
	case p.spec.Kind == hypervisor.KindPacket:
		return awaitLink(ctx, p.spec.Name, func(s podnet.LinkState) bool { return s.Present })
	case p.spec.Kind == hypervisor.KindFD: // it is there only once
		<-ctx.Done()
		return ctx.Err()
	}
	return pause(ctx, reopenEvery)
}

// awaitUplink waits for the pod interface. It survives going down and up, but not disappearing: another interface of the same
// name is another one.
func (p *port) awaitUplink(ctx context.Context) error {
	gone := false
	err := awaitLink(ctx, p.uplink.Name, func(s podnet.LinkState) bool {
		gone = !s.Present || s.Index != p.uplink.Index
		return gone || s.Up
	})
	if gone {
		return fmt.Errorf("%s: %w", p.uplink.Name, ErrLinkGone)
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitLink returns nil once the link is in a state that suits. It pauses first, so that a device that cannot be opened is
// not tried in a busy loop.
func awaitLink(ctx context.Context, name string, suits func(podnet.LinkState) bool) error {
	if err := pause(ctx, reopenEvery); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	states, err := podnet.Watch(ctx, name)
	if err != nil {
		return err
	}
	for s := range states {
		if suits(s) {
			return nil
		}
	}
	return ctx.Err()
}
