package dataplane

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/vswitch"
)

// A bridging is Ethernet mode at work: a learning switch between guest and pod interface, whose address stays in the pod's kernel,
// or between plain devices.
type bridging struct {
	start   time.Time
	bridge  *vswitch.Bridge
	devices []*device
	ports   []namedPort
	known   control.Status // what status says beside the ports
}

// newBridging makes everything but the ports.
func newBridging(k *keeper, g *grant.Grant, log *zap.Logger) (*bridging, error) {
	b := &bridging{start: time.Now()}
	w := g.Forwarder.Bridge
	if w == nil || len(g.Ports) != w.Ports {
		return nil, errors.New("the keeper's grant does not describe a learning switch of its ports")
	}
	cfg, err := readBridge(w)
	if err != nil {
		return nil, err
	}
	b.bridge = vswitch.NewBridge(cfg)
	if w.Pod != nil {
		if b.known, err = readPod(w.Pod); err != nil {
			return nil, err
		}
		// What is for the pod itself is not for the guest.
		b.bridge.SetStatic(b.known.WireMAC, vswitch.PortUplink, 0)
	}
	for i, p := range g.Ports {
		d := newDevice(k, i, p, log)
		d.lost = func() { b.bridge.Forget(i) } // its stations are elsewhere now
		b.devices = append(b.devices, d)
	}
	return b, nil
}

func (b *bridging) open(ctx context.Context, before *snapshot) error {
	for _, d := range b.devices {
		p, err := d.open(ctx, before)
		if err != nil {
			return err
		}
		b.ports = append(b.ports, p)
	}
	return nil
}

func (b *bridging) close()                       { closeAll(b.ports) }
func (b *bridging) forwarder() vswitch.Forwarder { return b.bridge }
func (b *bridging) since() time.Duration         { return time.Since(b.start) }
func (b *bridging) list() []namedPort            { return b.ports }
func (b *bridging) begin()                       {}
func (b *bridging) yield()                       {}
func (b *bridging) guest(bool)                   {}

func (b *bridging) attend(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (b *bridging) learned() snapshot {
	s := b.bridge.State(b.since())
	return snapshot{Bridge: &s}
}

func (b *bridging) resume(s *snapshot) error {
	if s.Bridge == nil || s.Address != nil {
		return errors.New("the switch before was no learning switch")
	}
	return b.bridge.Resume(*s.Bridge, b.since())
}

func (b *bridging) source() control.Source {
	return control.Source{Status: b.status, Stations: b.stations}
}

func (b *bridging) status() control.Status {
	s := b.known
	s.Holder, s.Ports = vswitch.HolderKernel.String(), statusOf(b.ports)
	return s
}

func (b *bridging) stations() []control.Station {
	list := []control.Station{}
	for _, s := range b.bridge.Stations(b.since()) {
		list = append(list, control.Station{MAC: s.MAC, Port: b.ports[s.Port].name, Age: s.Age.Seconds(), Static: s.Static})
	}
	return list
}
