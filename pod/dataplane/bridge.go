package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/vswitch"
)

// A bridging is Ethernet mode: a learning switch between the guest and the pod interface, whose address stays in the pod's kernel, or
// between plain devices.
type bridging struct {
	began     time.Time // 0 of the switch's clock
	bridge    *vswitch.Bridge
	devices   []*device
	offenders *offenderLog
	loops     loopLog
	ports     []namedPort
	known     atomic.Pointer[control.Status] // the fields that change with the pod's network alone

	pinned     vswitch.MAC // the only MAC at pinnedPort; the zero MAC: any
	pinnedPort int
	hasPod     bool // the second port is the uplink of a pod
}

// newBridging makes the learning switch. open makes its ports.
func newBridging(s *session, g *grant.Grant, log *zap.Logger) (*bridging, error) {
	b := &bridging{began: time.Now()}
	w := g.Forwarder.Bridge
	if w == nil || len(g.Ports) != w.Ports {
		return nil, errors.New("the keeper's grant does not describe a learning switch of its ports")
	}
	cfg, err := readBridge(w)
	if err != nil {
		return nil, err
	}
	b.offenders = newOffenderLog(log, bridgeOffenders(&cfg))
	b.loops.log = log
	b.bridge, b.pinned, b.pinnedPort = vswitch.NewBridge(cfg), cfg.Pinned, cfg.PinnedPort
	b.hasPod = w.Pod != nil
	if err := b.setPod(w.Pod, nil); err != nil {
		return nil, err
	}
	for i, p := range g.Ports {
		dev := newDevice(s, i, p, log)
		dev.onLost = func() { b.bridge.Forget(i) } // its stations may now be elsewhere
		b.devices = append(b.devices, dev)
	}
	return b, nil
}

func (b *bridging) open(ctx context.Context, before *snapshot) (err error) {
	b.ports, err = openDevices(ctx, b.devices, before)
	return err
}

func (b *bridging) close()                       { closePorts(b.ports) }
func (b *bridging) forwarder() vswitch.Forwarder { return b.bridge }
func (b *bridging) now() time.Duration           { return time.Since(b.began) }
func (b *bridging) portList() []namedPort        { return b.ports }

// A learning switch holds no address, and has no state of the guest.
func (b *bridging) start()              {}
func (b *bridging) stop()               {}
func (b *bridging) setGuestAbsent(bool) {}

// recall implements mode. Stations are learned again.
func (b *bridging) recall(json.RawMessage) {}

func (b *bridging) background(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			b.offenders.check(b.ports, b.now())
			b.loops.check(b.bridge, b.ports, b.now())
		}
	}
}

func (b *bridging) snapshot() snapshot {
	state := b.bridge.State(b.now())
	return snapshot{Bridge: &state}
}

func (b *bridging) resume(snap *snapshot) error {
	if snap.Bridge == nil || snap.Address != nil {
		return errors.New("the snapshot is not of a learning switch")
	}
	dropStationsOfOthers(snap.Bridge, b.pinned, b.pinnedPort)
	return b.bridge.Resume(*snap.Bridge, b.now())
}

func (b *bridging) source() control.Source {
	return control.Source{Status: b.status, Stations: b.stations}
}

func (b *bridging) stations() []control.Station {
	list := []control.Station{}
	for _, s := range b.bridge.Stations(b.now()) {
		list = append(list, control.Station{MAC: s.MAC, Port: b.ports[s.Port].name, Age: s.Age.Seconds(), Static: s.Static})
	}
	return list
}
