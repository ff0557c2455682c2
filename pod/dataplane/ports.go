package dataplane

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/unixport"
	"github.com/podswitch/podswitch/vswitch"
)

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

// A device is an attachment whose descriptor the keeper gives, again and again if it is lost. An inherited one comes only once.
type device struct {
	keeper     *keeper
	index      int // among the keeper's ports
	port       grant.Port
	counters   *vswitch.Counters
	log        *zap.Logger
	lost, back func() // called when it goes and when it comes back
}

func newDevice(k *keeper, index int, port grant.Port, log *zap.Logger) *device {
	nothing := func() {}
	return &device{keeper: k, index: index, port: port, counters: new(vswitch.Counters), log: log.With(zap.String("port", port.Spec)),
		lost: nothing, back: nothing}
}

// open makes the port, with what the switch before had in hand, if there was one. A device that is still to come is awaited by
// the port.
func (d *device) open(ctx context.Context, before *snapshot) (namedPort, error) {
	var first vswitch.Port
	rest := before.restOf(d.index)
	if d.keeper.has(d.index) || before == nil && d.port.Present {
		o, err := d.keeper.open(ctx, d.index)
		if err != nil {
			return namedPort{}, err
		}
		if first, err = d.make(o, rest); err != nil {
			return namedPort{}, err
		}
	}
	p := tap.NewReattaching(first, d.counters, tap.Reattach{Reopen: d.reopen, Lost: d.isLost, Back: d.isBack})
	return namedPort{p, d.port.Name, d.port.Kind}, nil
}

// make makes a port of what the keeper has opened.
func (d *device) make(o opened, rest unixport.Rest) (vswitch.Port, error) {
	switch {
	case o.Device != nil:
		device := readDevice(o.fd, o.Device)
		device.Merge = d.keeper.merge
		return device.Port(d.counters)
	case o.Socket != nil:
		socket := readSocket(o.fd, o.Socket)
		p, err := socket.Port(d.counters, d.peer(), rest)
		if err != nil {
			return nil, err
		}
		return tap.WithSoftwareOffloads(p, d.keeper.merge), nil
	}
	return nil, fmt.Errorf("the keeper has opened %s, and does not say as what", d.port.Name)
}

func (d *device) reopen(ctx context.Context) (vswitch.Port, error) {
	for {
		o, err := d.keeper.reopen(ctx, d.index)
		if err != nil {
			return nil, err
		}
		p, err := d.make(o, unixport.Rest{})
		if err == nil {
			return p, nil
		}
		d.log.Warn("device cannot be used", zap.Error(err))
	}
}

func (d *device) isLost(cause error) {
	if d.port.Kind == hypervisor.KindFD {
		d.log.Warn("the inherited descriptor was lost: start podswitch anew with another one", zap.Error(cause))
	} else {
		d.log.Warn("device lost, waiting for it to come back", zap.Error(cause))
	}
	d.lost()
}

func (d *device) isBack() {
	if d.port.Kind == hypervisor.KindTap {
		d.log.Info("device is back: the tap is made anew, and its kernel side is in this namespace again")
	} else {
		d.log.Info("device is back")
	}
	d.back()
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
