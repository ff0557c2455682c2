package keeper

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/unixport"
)

// reopenEvery is the time between two attempts to open a device that was lost.
const reopenEvery = 250 * time.Millisecond

// The bound of devices that are opened again: a switch may ask for that as often as it likes. A device that comes and goes uses the burst.
const (
	reopenBurst  = 20
	reopenRefill = 2 * time.Second
)

// An opener opens a port, and opens it again. One goroutine has it at a time: the loop, or one to which port.lend gave it. Only close is for both.
type opener struct {
	portSpec
	log      *zap.Logger
	prepared int           // index of the device that prepare has made ready; 0: none
	limit    *rate.Limiter // of reopen
	failure  string        // text of the last error that was logged; empty: none since the port was open

	mu      sync.Mutex // guards the following: the loop closes an opener also while a goroutine has it
	silence io.Closer  // makes the pod's kernel answer on that device again; nil: it does
	closed  bool
}

// open opens the port for the first time. The device of a guest may appear later, because a hypervisor makes its tap when it starts:
// open then returns neither a handle nor an error.
func (o *opener) open() (*handle, error) {
	if _, err := net.InterfaceByName(o.spec.Name); err != nil && o.guest && o.spec.Kind == hypervisor.KindPacket {
		o.log.Warn("device is not there yet, waiting for it", zap.Stringer("port", o.spec))
		return nil, nil
	}
	return o.openOnce()
}

func (o *opener) openOnce() (*handle, error) {
	switch o.spec.Kind {
	case hypervisor.KindStream:
		s, file, err := unixport.Listen(o.spec.Name, o.owner)
		return socketHandle(s, file, err)
	case hypervisor.KindDgram:
		local, remote, _ := strings.Cut(o.spec.Name, ",")
		if before, err := unixport.RaiseQueue(); err != nil {
			o.log.Info("queue of datagram sockets not raised", zap.Stringer("port", o.spec), zap.Int("length", before), zap.Error(err))
		}
		s, file, err := unixport.Bind(local, remote, o.owner)
		return socketHandle(s, file, err)
	case hypervisor.KindFD:
		return o.inherit()
	case hypervisor.KindPacket:
		o.prepare()
	}
	device, err := tap.OpenDevice(tap.Spec{Kind: o.spec.Kind, Name: o.spec.Name}, o.options())
	h, err := deviceHandle(device, err)
	if err == nil && o.egress != nil {
		err = o.configureEgress(h)
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// configureEgress makes an open tap the way out of the pod's own processes, or closes it. Where the address cannot be fenced, the way out is
// of more use than none.
func (o *opener) configureEgress(h *handle) (err error) {
	if h.fence, err = o.egress.Fence(); err != nil {
		h.fence = nil
		o.log.Warn("neighbours of the pod may reach its processes at the address of the way out", zap.Stringer("address", o.egress.Address), zap.Error(err))
	}
	if err = o.egress.Configure(); err != nil {
		_ = h.close()
	}
	return err
}

func (o *opener) options() tap.Options {
	return tap.Options{Offload: o.offload, MTU: o.mtu, Ethertypes: o.types, OwnFrames: o.own}
}

// inherit uses an inherited descriptor, of a unix socket or of a device.
func (o *opener) inherit() (*handle, error) {
	fd, err := strconv.Atoi(o.spec.Name)
	if err != nil {
		return nil, fmt.Errorf("%v: want the number of a descriptor: %w", o.spec, err)
	}
	isUnix, err := unixport.Inherited(fd)
	switch {
	case err != nil:
		return nil, err
	case isUnix:
		s, err := unixport.Inherit(fd)
		return socketHandle(s, nil, err)
	}
	device, err := tap.InheritDevice(fd, o.options())
	if err == nil && device.Kind == tap.KindPacket && device.Link != "" { // otherwise it is in another namespace
		o.keepKernelOut(device.Link)
	}
	return deviceHandle(device, err)
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

// prepare makes a device ready whose kernel side is in this namespace, once for each device of the name. It silences the pod's
// kernel on a guest's device, so that the switch alone receives what the guest sends, and brings the device up, which a hypervisor
// does not do.
func (o *opener) prepare() {
	link, err := net.InterfaceByName(o.spec.Name)
	if err != nil || o.uplink != nil || link.Index == o.prepared {
		return
	}
	o.keepKernelOut(o.spec.Name)
	if changed, err := tap.SetUp(o.spec.Name); err == nil && changed {
		o.log.Info("device brought up", zap.Stringer("port", o.spec))
	}
	o.prepared = link.Index
}

// keepKernelOut silences the pod's kernel on a guest's device.
func (o *opener) keepKernelOut(device string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.endSilence()
	if !o.guest || o.closed {
		return
	}
	var err error
	if o.silence, err = podnet.Silence(device); err != nil {
		o.silence = nil
		o.log.Warn("pod's kernel not silenced on the guest's device", zap.Stringer("port", o.spec), zap.Error(err))
	}
}

// close lets the pod's kernel answer on the device again, for good: the next switch may have the device by then, and a silence of its own.
func (o *opener) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.endSilence()
}

// endSilence lets the pod's kernel answer on the device again. The caller holds mu.
func (o *opener) endSilence() {
	if o.silence != nil {
		o.silence.Close()
		o.silence = nil
	}
}

// abandon closes the opener and a handle that is not needed any more; the handle may be nil.
func (o *opener) abandon(h *handle) {
	if h != nil {
		_ = h.close()
	}
	o.close()
}

// reopen opens the port as soon as that is possible. It returns an error when ctx is done, or when no further attempt can succeed.
func (o *opener) reopen(ctx context.Context) (*handle, error) {
	if err := o.limit.Wait(ctx); err != nil {
		return nil, err
	}
	for {
		if err := o.await(ctx); err != nil {
			return nil, err
		}
		h, err := o.openOnce()
		if err == nil {
			o.failure = ""
			return h, nil
		}
		if text := err.Error(); text != o.failure {
			o.failure = text
			o.log.Warn("device not opened, retrying", zap.Stringer("port", o.spec), zap.Error(err))
		}
	}
}

// await waits until the next attempt may succeed: for the device of a packet socket until it exists, for another one a while. A
// descriptor is inherited once, so for that it waits until ctx is done.
func (o *opener) await(ctx context.Context) error {
	switch {
	case o.uplink != nil:
		return o.awaitUplink(ctx)
	case o.spec.Kind == hypervisor.KindPacket:
		return awaitLink(ctx, func(ctx context.Context) (<-chan podnet.LinkState, error) { return podnet.Watch(ctx, o.spec.Name) },
			func(s podnet.LinkState) bool { return s.Present })
	case o.spec.Kind == hypervisor.KindFD:
		<-ctx.Done()
		return ctx.Err()
	}
	return sleep(ctx, reopenEvery)
}

// awaitUplink waits until the pod interface is up, whose name may have changed. An interface of the same name with another index is not the pod
// interface. The error wraps errUplinkGone if there is none.
func (o *opener) awaitUplink(ctx context.Context) error {
	gone := false
	watch := func(ctx context.Context) (<-chan podnet.LinkState, error) { return podnet.WatchIndex(ctx, *o.uplink) }
	err := awaitLink(ctx, watch, func(s podnet.LinkState) bool {
		gone, o.spec.Name = !s.Present, s.Name
		return gone || s.Up
	})
	if gone {
		return fmt.Errorf("%s: %w", o.uplink.Name, errUplinkGone)
	}
	return err
}

// findUplink notes the present name of the pod interface, and reports whether there is one.
func (o *opener) findUplink() bool {
	link, err := net.InterfaceByIndex(o.uplink.Index)
	if err == nil {
		o.spec.Name = link.Name
	}
	return err == nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitLink returns nil when the state of the link satisfies the condition. It pauses first, which bounds the rate of attempts to
// open a device that exists and cannot be opened.
func awaitLink(ctx context.Context, watch func(context.Context) (<-chan podnet.LinkState, error), condition func(podnet.LinkState) bool) error {
	if err := sleep(ctx, reopenEvery); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	states, err := watch(ctx)
	if err != nil {
		return err
	}
	for s := range states {
		if condition(s) {
			return nil
		}
	}
	return ctx.Err()
}
