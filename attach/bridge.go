package attach

import (
	"context"
	"errors"
	"net"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/podswitch/podswitch/control"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// Defaults of the learning switch (IEEE 802.1D-2004, table 7-5, for the time).
const (
	DefaultAgeing   = 300 * time.Second
	DefaultFDBLimit = 4096
)

// ethernetHeader is the length in bytes that an Ethernet header adds to an IP packet.
const ethernetHeader = 14

// A SwitchConfig says what a plain learning switch connects.
type SwitchConfig struct {
	Ports    []tap.Spec
	Ageing   time.Duration // how long a silent station is remembered
	FDBLimit int           // largest number of stations
	Offload  bool
	Control  string
	Log      *zap.Logger
}

// RunSwitch runs a plain learning switch until ctx is done.
func RunSwitch(ctx context.Context, cfg SwitchConfig) error {
	listener, err := control.Listen(cfg.Control)
	if err != nil {
		return err
	}
	defer listener.Close()
	b := newBridging(cfg.Log)
	for i, spec := range cfg.Ports {
		if err := b.open(i, spec.Name, spec, tap.Options{Offload: cfg.Offload}); err != nil {
			closeAll(b.ports)
			return err
		}
	}
	maxFrame, err := smallestFrame(cfg.Ports)
	if err != nil {
		closeAll(b.ports)
		return err
	}
	b.bridge = vswitch.NewBridge(vswitch.BridgeConfig{Ports: len(cfg.Ports), Ageing: cfg.Ageing, Limit: cfg.FDBLimit,
		MaxFrame: maxFrame, Upstream: -1})
	return b.run(ctx, listener)
}

// smallestFrame is the largest frame that every port can take: a bridge has one MTU.
func smallestFrame(ports []tap.Spec) (int, error) {
	smallest := vswitch.MaxFrame
	for _, spec := range ports {
		mtu, err := tap.MTU(spec.Name)
		if err != nil {
			return 0, err
		}
		smallest = min(smallest, mtu+ethernetHeader)
	}
	return smallest, nil
}

// runBridge is Ethernet mode: a learning switch between guest and pod interface; the pod's address stays in its kernel.
func runBridge(ctx context.Context, cfg Config, plan *Plan, l net.Listener) error {
	mtu := plan.Identity.Link.MTU
	b := newBridging(cfg.Log)
	b.bridge = vswitch.NewBridge(vswitch.BridgeConfig{Ports: 2, Ageing: DefaultAgeing, Limit: DefaultFDBLimit,
		MaxFrame: mtu + ethernetHeader, Upstream: 1})
	if err := b.open(0, "guest", cfg.Guest, tap.Options{Offload: cfg.Offload, MTU: mtu}); err != nil {
		return err
	}
	uplink, err := openUplink(cfg.PodInterface, cfg.Log)
	if err != nil {
		closeAll(b.ports)
		return err
	}
	b.ports = append(b.ports, namedPort{uplink, "uplink", tap.KindPacket})
	return b.run(ctx, l)
}

// A bridging is a learning switch at work.
type bridging struct {
	log    *zap.Logger
	clock  func() time.Duration
	bridge *vswitch.Bridge
	ports  []namedPort
}

func newBridging(log *zap.Logger) *bridging {
	start := time.Now()
	return &bridging{log: log, clock: func() time.Duration { return time.Since(start) }}
}

// open adds a port; its stations are forgotten when its device is lost.
func (b *bridging) open(index int, name string, spec tap.Spec, o tap.Options) error {
	o.Counters = new(vswitch.Counters)
	p, err := openDevice(spec, o, b.log, func() { b.bridge.Forget(index) }, func() {})
	if err != nil {
		return err
	}
	b.ports = append(b.ports, namedPort{p, name, spec.Kind})
	return nil
}

func (b *bridging) run(ctx context.Context, l net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return vswitch.New(b.bridge, b.clock, bare(b.ports)...).Run(ctx) })
	group.Go(func() error {
		return control.Serve(ctx, l, control.Source{Status: b.status, Stations: b.stations})
	})
	b.log.Info("ready")
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (b *bridging) status() control.Status {
	return control.Status{Holder: vswitch.HolderKernel.String(), Ports: statusOf(b.ports)}
}

func (b *bridging) stations() []control.Station {
	list := []control.Station{}
	for _, s := range b.bridge.Stations(b.clock()) {
		list = append(list, control.Station{MAC: s.MAC, Port: b.ports[s.Port].name, Age: s.Age.Seconds(), Static: s.Static})
	}
	return list
}
