package dataplane

import (
	"context"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/unixport"
	"github.com/podswitch/podswitch/vswitch"
)

// A device is one of the grant's ports. The keeper opens it again each time it is lost, except an inherited descriptor, which the
// keeper has only once.
type device struct {
	session  *session
	index    int // among the grant's ports
	port     grant.Port
	counters *vswitch.Counters
	log      *zap.Logger
	link     link

	warned sync.Once // about unknown offloads

	onTooBig       func(frame []byte) // called when the device has refused a frame above its MTU; nil: nothing is
	onLost, onBack func()             // called when the device, or the hypervisor behind it, disappears and returns
}

func newDevice(s *session, index int, port grant.Port, log *zap.Logger) *device {
	nothing := func() {}
	return &device{session: s, index: index, port: port, counters: new(vswitch.Counters), log: log.With(zap.String("port", port.Spec)),
		onLost: nothing, onBack: nothing}
}

// openDevices opens the ports of devices, in their order. On an error it closes those that it has opened.
func openDevices(ctx context.Context, devices []*device, before *snapshot) (ports []namedPort, err error) {
	for _, dev := range devices {
		p, err := dev.open(ctx, before)
		if err != nil {
			closePorts(ports)
			return nil, err
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// open makes the port, with what the snapshot has of it, if there is one. If the device is not there yet, the port waits for it.
func (dev *device) open(ctx context.Context, before *snapshot) (namedPort, error) {
	var first vswitch.Port
	pending := before.pendingOf(dev.index)
	if dev.session.isOpened(dev.index) || before == nil && dev.port.Present {
		o, err := dev.session.open(ctx, dev.index)
		if err != nil {
			return namedPort{}, err
		}
		if first, err = dev.newPort(o, pending); err != nil {
			return namedPort{}, err
		}
	}
	p := tap.NewReattaching(first, dev.counters, tap.Reattach{Reopen: dev.reopen, Lost: dev.lost, Back: dev.back})
	dev.link.isLost.Store(first == nil)
	return namedPort{p, dev.port.Name, dev.port.Kind, &dev.link}, nil
}

// newPort makes a port of a descriptor.
func (dev *device) newPort(o openedPort, pending handover.Socket) (vswitch.Port, error) {
	switch {
	case o.Device != nil:
		d := readDevice(o.fd, o.Device)
		d.Merge, d.Events = dev.session.merge, dev
		if dev.index == vswitch.PortGuest || d.Kind == tap.KindTap {
			d.Drops = dev.session.drops
		}
		return d.Port(dev.counters)
	case o.Socket != nil:
		s := readSocket(o.fd, o.Socket)
		dev.link.isAlone.Store(s.Listening && !pending.Announced) // Connected follows, unless it was called before a takeover
		p, err := s.Resume(dev.counters, dev.peerEvents(), pending)
		if err != nil {
			return nil, err
		}
		return tap.WithSoftwareOffloads(p, dev.session.merge), nil
	}
	return nil, fmt.Errorf("the keeper opened %s as neither a device nor a socket", dev.port.Name)
}

// reopen implements tap.Reattach.Reopen.
func (dev *device) reopen(ctx context.Context) (vswitch.Port, error) {
	for {
		o, err := dev.session.reopen(ctx, dev.index)
		if err != nil {
			return nil, err
		}
		p, err := dev.newPort(o, handover.Socket{})
		if err == nil {
			return p, nil
		}
		dev.log.Warn("device unusable", zap.Error(err))
	}
}

// lost implements tap.Reattach.Lost.
func (dev *device) lost(cause error) {
	if dev.port.Kind == hypervisor.KindFD {
		dev.log.Warn("inherited descriptor lost, restart podswitch with a new one", zap.Error(cause))
	} else {
		dev.log.Warn("device lost, waiting for it", zap.Error(cause))
	}
	dev.link.isLost.Store(true)
	dev.onLost()
}

// back implements tap.Reattach.Back.
func (dev *device) back() {
	if dev.port.Kind == hypervisor.KindTap {
		dev.log.Info("device is back: tap created again, its kernel side in this namespace")
	} else {
		dev.log.Info("device is back")
	}
	dev.link.isLost.Store(false)
	dev.onBack()
}

// TooBig implements tap.Events.
func (dev *device) TooBig(frame []byte) {
	if dev.onTooBig != nil {
		dev.onTooBig(frame)
	}
}

// UnknownOffload implements tap.Events. It warns once: the counter shows how many frames follow.
func (dev *device) UnknownOffload() {
	dev.warned.Do(func() {
		remedy := "switch UFO off in the hypervisor: for QEMU's virtio-net, host_ufo=off"
		if dev.index != vswitch.PortGuest {
			remedy = "on the sender's node: ethtool -K DEVICE tx-sctp-segmentation off"
		}
		dev.log.Warn("frames lost: a packet socket cannot describe their offloads", zap.String("counter", vswitch.ReceiveError.String()),
			zap.String("remedy", remedy))
	})
}

// peerEvents reports the connections of a hypervisor at a unix socket.
func (dev *device) peerEvents() unixport.Options {
	return unixport.Options{
		Connected: func() {
			dev.log.Info("hypervisor connected")
			dev.link.isAlone.Store(false)
			dev.onBack()
		},
		Disconnected: func(err error) {
			dev.log.Warn("hypervisor disconnected", zap.Error(err))
			dev.link.isAlone.Store(true)
			dev.onLost()
		},
		Refused: func(err error) { dev.log.Warn("connection refused", zap.Error(err)) },
	}
}
