package attach

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

	"github.com/podswitch/podswitch/control"
	"github.com/podswitch/podswitch/hypervisor"
	"github.com/podswitch/podswitch/podnet"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/unixport"
	"github.com/podswitch/podswitch/vswitch"
)

// reopenEvery is how often a tap that was lost is made again until that works.
const reopenEvery = 250 * time.Millisecond

// A namedPort is a port with what status says about it.
type namedPort struct {
	vswitch.Port
	name, kind string
}

func statusOf(ports []namedPort) []control.Port {
	list := make([]control.Port, len(ports))
	for i, p := range ports {
		list[i] = control.NewPort(p.name, p.kind, p.Counters())
	}
	return list
}

func bare(ports []namedPort) []vswitch.Port {
	list := make([]vswitch.Port, len(ports))
	for i, p := range ports {
		list[i] = p.Port
	}
	return list
}

func closeAll(ports []namedPort) {
	for _, p := range ports {
		p.Close()
	}
}

// A device is a guest's attachment that comes back after a loss: a tap is made anew, a packet socket waits for its device. An
// inherited descriptor does not.
type device struct {
	spec       hypervisor.Attachment
	options    tap.Options
	guest      bool // the pod's kernel is kept out of it, and it may come later
	log        *zap.Logger
	lost, back func() // called when it goes and when it comes back

	index int       // of the kernel's device that was opened last
	quiet io.Closer // keeps the kernel silent on it; nil where that is not needed
	stuck string    // why it could not be opened the last time
}

// open opens the device for the first time. A guest's may come later: a hypervisor makes its tap when it starts.
func (d *device) open() (vswitch.Port, error) {
	d.log = d.log.With(zap.Stringer("port", d.spec))
	if _, err := net.InterfaceByName(d.spec.Name); err != nil && d.guest && d.spec.Kind == hypervisor.KindPacket {
		d.log.Warn("the device is not there yet, waiting for it")
		return tap.NewAwaited(d.how(), d.options.Counters), nil
	}
	return tap.NewReattaching(d.how())
}

// how says how the device comes back.
func (d *device) how() tap.Reattach {
	return tap.Reattach{
		Open:  d.openOnce,
		Await: d.await,
		Lost: func(cause error) {
			if d.spec.Kind == hypervisor.KindFD {
				d.log.Warn("the inherited descriptor was lost: start podswitch anew with another one", zap.Error(cause))
			} else {
				d.log.Warn("device lost, waiting for it to come back", zap.Error(cause))
			}
			d.lost()
		},
		Back: func() {
			d.stuck = ""
			if d.spec.Kind == tap.KindTap {
				d.log.Info("device is back: the tap is made anew, and its kernel side is in this namespace again")
			} else {
				d.log.Info("device is back")
			}
			d.back()
		},
		Stuck: func(cause error) {
			if text := cause.Error(); text != d.stuck {
				d.stuck = text
				d.log.Warn("device cannot be opened, trying on", zap.Error(cause))
			}
		},
	}
}

// openOnce opens what the attachment's kind says.
func (d *device) openOnce() (vswitch.Port, error) {
	switch d.spec.Kind {
	case hypervisor.KindStream:
		return tap.Software(unixport.OpenStream(d.spec.Name, d.options.Counters, d.peer()))
	case hypervisor.KindDgram:
		local, remote, _ := strings.Cut(d.spec.Name, ",")
		return tap.Software(unixport.OpenDgram(local, remote, d.options.Counters))
	case hypervisor.KindFD:
		return d.openFD()
	case hypervisor.KindPacket:
		d.prepare()
	}
	return tap.Open(tap.Spec{Kind: d.spec.Kind, Name: d.spec.Name}, d.options)
}

// openFD takes over an inherited descriptor: a unix socket or a device.
func (d *device) openFD() (vswitch.Port, error) {
	fd, err := strconv.Atoi(d.spec.Name)
	if err != nil {
		return nil, err
	}
	isUnix, err := unixport.Inherited(fd)
	switch {
	case err != nil:
		return nil, err
	case isUnix:
		return tap.Software(unixport.OpenFD(fd, d.options.Counters, d.peer()))
	}
	return tap.OpenFD(fd, d.options)
}

// peer tells of the hypervisor at the other end of a stream.
func (d *device) peer() unixport.Options {
	return unixport.Options{
		Connected: func() {
			d.log.Info("the hypervisor has connected")
			d.back()
		},
		Disconnected: func(err error) {
			d.log.Warn("the hypervisor has disconnected", zap.Error(err))
			d.lost()
		},
		Refused: func(err error) { d.log.Warn("connection refused", zap.Error(err)) },
	}
}

// prepare makes a device ready that has its kernel side in this namespace: it is brought up once, because a hypervisor leaves
// that to others, and the pod's kernel is kept out of what passes between the device and the switch.
func (d *device) prepare() {
	link, err := net.InterfaceByName(d.spec.Name)
	if err != nil || link.Index == d.index {
		return
	}
	d.close()
	if d.guest {
		if d.quiet, err = podnet.Silence(d.spec.Name); err != nil {
			d.quiet = nil
			d.log.Warn("the pod's kernel takes part in what the guest says", zap.Error(err))
		}
	}
	if changed, err := tap.SetUp(d.spec.Name); err == nil && changed {
		d.log.Info("brought the device up")
	}
	d.index = link.Index
}

// close lets the kernel speak on the device again; the port is closed by its owner.
func (d *device) close() {
	if d.quiet != nil {
		d.quiet.Close()
		d.quiet = nil
	}
}

// await waits a moment, for a packet socket until its device is there, and for the end where nothing can come back.
func (d *device) await(ctx context.Context) error {
	switch d.spec.Kind {
	case hypervisor.KindPacket:
		return awaitLink(ctx, d.spec.Name, func(s podnet.LinkState) bool { return s.Present })
	case hypervisor.KindFD: // it is there only once
		<-ctx.Done()
		return ctx.Err()
	}
	return pause(ctx, reopenEvery)
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

// errLinkGone ends a run: without its interface the pod has no network to attach to.
var errLinkGone = errors.New("the pod interface has disappeared")

// openUplink opens the pod interface. It survives going down and up, but not disappearing: another interface of the same name
// is another one.
func openUplink(id *podnet.Identity, log *zap.Logger) (vswitch.Port, error) {
	name, counters := id.Link.Name, new(vswitch.Counters)
	return tap.NewReattaching(tap.Reattach{
		Open: func() (vswitch.Port, error) {
			return tap.Open(tap.Spec{Kind: tap.KindPacket, Name: name}, tap.Options{Offload: true, Counters: counters})
		},
		Await: func(ctx context.Context) error {
			gone := false
			err := awaitLink(ctx, name, func(s podnet.LinkState) bool {
				gone = !s.Present || s.Index != id.Link.Index
				return gone || s.Up
			})
			if gone {
				return fmt.Errorf("%s: %w", name, errLinkGone)
			}
			return err
		},
		Lost: func(cause error) { log.Warn("pod interface lost", zap.String("link", name), zap.Error(cause)) },
		Back: func() { log.Info("pod interface is back", zap.String("link", name)) },
	})
}
