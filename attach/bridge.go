package attach

import (
	"context"
	"net"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/podswitch/podswitch/control"
	"github.com/podswitch/podswitch/hypervisor"
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
	Ports    []hypervisor.Attachment
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
		if err := b.open(i, spec.Name, &device{spec: spec, options: tap.Options{Offload: cfg.Offload}}); err != nil {
			b.close()
			return err
		}
	}
	maxFrame, err := smallestFrame(cfg.Ports)
	if err != nil {
		b.close()
		return err
	}
	b.bridge = vswitch.NewBridge(vswitch.BridgeConfig{Ports: len(cfg.Ports), Ageing: cfg.Ageing, Limit: cfg.FDBLimit,
		MaxFrame: maxFrame, Upstream: -1})
	return b.run(ctx, listener)
}

// smallestFrame is the largest frame that every port can take: a bridge has one MTU.
func smallestFrame(ports []hypervisor.Attachment) (int, error) {
	smallest := vswitch.MaxFrame
	for _, spec := range ports {
		if spec.Kind != hypervisor.KindTap && spec.Kind != hypervisor.KindPacket {
			continue // a socket has no MTU
		}
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
	const guest, uplink = 0, 1
	id := plan.Identity
	b := newBridging(cfg.Log)
	b.known = plan.status()
	b.bridge = vswitch.NewBridge(vswitch.BridgeConfig{Ports: 2, Ageing: DefaultAgeing, Limit: DefaultFDBLimit,
		MaxFrame: id.Link.MTU + ethernetHeader, Upstream: uplink, Pinned: plan.GuestMAC, PinnedPort: guest})
	b.bridge.SetStatic(vswitch.MAC(id.Link.MAC), uplink, 0) // what is for the pod itself is not for the guest
	err := b.open(guest, "guest", &device{spec: cfg.Guest, guest: true, options: tap.Options{Offload: cfg.Offload, MTU: id.Link.MTU}})
	if err != nil {
		return err
	}
	p, err := openUplink(id, cfg.Log)
	if err != nil {
		b.close()
		return err
	}
	b.ports = append(b.ports, namedPort{p, "uplink", tap.KindPacket})
	return b.run(ctx, l)
}

// A bridging is a learning switch at work.
type bridging struct {
	log     *zap.Logger
	clock   func() time.Duration
	bridge  *vswitch.Bridge
	ports   []namedPort
	devices []*device
	known   control.Status // what status says beside the ports
}

func newBridging(log *zap.Logger) *bridging {
	start := time.Now()
	return &bridging{log: log, clock: func() time.Duration { return time.Since(start) }}
}

// open adds a port; its stations are forgotten when its device is lost.
func (b *bridging) open(index int, name string, d *device) error {
	d.log, d.lost, d.back = b.log, func() { b.bridge.Forget(index) }, func() {}
	d.options.Counters = new(vswitch.Counters)
	p, err := d.open()
	b.devices = append(b.devices, d)
	if err != nil {
		return err
	}
	b.ports = append(b.ports, namedPort{p, name, d.spec.Kind})
	return nil
}

func (b *bridging) close() {
	closeAll(b.ports)
	for _, d := range b.devices {
		d.close()
	}
}

func (b *bridging) run(ctx context.Context, l net.Listener) error {
	defer b.close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return vswitch.New(b.bridge, b.clock, bare(b.ports)...).Run(ctx) })
	group.Go(func() error {
		return control.Serve(ctx, l, control.Source{Status: b.status, Stations: b.stations})
	})
	b.log.Info("ready")
	return group.Wait()
}

func (b *bridging) status() control.Status {
	s := b.known
	s.Holder, s.Ports = vswitch.HolderKernel.String(), statusOf(b.ports)
	return s
}

func (b *bridging) stations() []control.Station {
	list := []control.Station{}
	for _, s := range b.bridge.Stations(b.clock()) {
		list = append(list, control.Station{MAC: s.MAC, Port: b.ports[s.Port].name, Age: s.Age.Seconds(), Static: s.Static})
	}
	return list
}
