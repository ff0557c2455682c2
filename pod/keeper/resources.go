package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// Resources are everything that is open for a switch, and for those that go on in its place.
type resources struct {
	cfg       *Config
	plan      *plan.Plan            // nil: a plain learning switch
	bridge    *vswitch.BridgeConfig // nil: a guest and a pod
	ports     []*port
	control   *net.UnixListener
	lock      io.Closer          // of the state directory; nil: there is none
	ctx       context.Context    // of the goroutines that open, watch and dial
	cancel    context.CancelFunc // ends them
	dialSlots chan struct{}      // a place for each goroutine that dials
}

// maxDials bounds the connections that are being made at once.
const maxDials = 512

// openResources opens everything. The pod interface is untouched when it returns.
func openResources(cfg *Config) (r *resources, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	r = &resources{cfg: cfg, ctx: ctx, cancel: cancel, dialSlots: make(chan struct{}, maxDials)}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
			r = nil
		}
	}()
	if cfg.Switch != nil {
		return r, r.openSwitch()
	}
	return r, r.openPod()
}

// openPod finds out what is to be done, and opens the ports of a guest and a pod.
func (r *resources) openPod() (err error) {
	attach := r.cfg.Attach
	if r.lock, err = podnet.Lock(attach.StateDir); err != nil {
		return err
	}
	if err := recoverEarlier(r.cfg); err != nil {
		return err
	}
	if r.plan, err = plan.Resolve(*attach); err != nil {
		return err
	}
	for _, w := range r.plan.Warnings {
		r.cfg.Log.Warn(w)
	}
	if r.cfg.Resolved != nil {
		r.cfg.Resolved(r.plan)
	}
	link := &r.plan.Identity.Link
	return r.openAll(
		&port{name: "guest", spec: attach.Guest, offload: attach.Offload, mtu: link.MTU, guest: true},
		&port{name: "uplink", spec: hypervisor.Attachment{Kind: hypervisor.KindPacket, Name: link.Name}, offload: true, uplink: link})
}

// openSwitch opens the ports of a plain learning switch.
func (r *resources) openSwitch() error {
	var ports []*port
	for _, spec := range r.cfg.Switch.Ports {
		ports = append(ports, &port{name: spec.Name, spec: spec, offload: r.cfg.Switch.Offload})
	}
	if err := r.openAll(ports...); err != nil {
		return err
	}
	bridge := r.cfg.Switch.Bridge
	bridge.Ports, bridge.Upstream = len(ports), -1
	r.bridge = &bridge
	var err error
	bridge.MaxFrame, err = smallestFrame(r.cfg.Switch.Ports)
	return err
}

// openAll opens the control socket and the ports.
func (r *resources) openAll(ports ...*port) (err error) {
	if r.control, err = unixsocket.Listen(unixsocket.Spec{Path: r.cfg.Control, Owner: r.cfg.Owner, Name: "control socket", Flag: "--control"}); err != nil {
		return err
	}
	for _, p := range ports {
		p.log, p.owner = r.cfg.Log, r.cfg.Owner
		r.ports = append(r.ports, p)
		if p.handle, err = p.open(); err != nil {
			return err
		}
	}
	return nil
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
		smallest = min(smallest, mtu+plan.EthernetHeader)
	}
	return smallest, nil
}

// recoverEarlier puts back what an earlier run in this state directory could not.
func recoverEarlier(cfg *Config) error {
	report, err := podnet.Recover(cfg.Attach.StateDir)
	if report != "" {
		cfg.Log.Warn("an earlier run did not give back", zap.String("now", report))
	}
	if errors.Is(err, podnet.ErrLinkGone) { // and the state file with it
		cfg.Log.Warn("what an earlier run took is gone", zap.Error(err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("give back what an earlier run took: %w", err)
	}
	return nil
}

// recoverNow is recoverEarlier for one who does not hold the state directory.
func recoverNow(cfg *Config) error {
	lock, err := podnet.Lock(cfg.Attach.StateDir)
	if err != nil {
		return err
	}
	return errors.Join(recoverEarlier(cfg), lock.Close())
}

// close closes everything; nobody uses it any more.
func (r *resources) close() (err error) {
	r.cancel()
	for _, p := range r.ports {
		err = errors.Join(err, p.close())
	}
	if r.control != nil {
		err = errors.Join(err, r.control.Close())
	}
	if r.lock != nil {
		err = errors.Join(err, r.lock.Close())
	}
	return err
}

// take takes the address from the kernel, off the interface or by silencing it there, and returns what gives it back. A bridge
// takes nothing.
func (r *resources) takeAddress() (giveBack func() error, err error) {
	switch {
	case r.plan == nil || !r.plan.Delegates():
		return func() error { return nil }, nil
	case r.plan.Mute:
		mute, err := podnet.Mute(r.plan.Identity)
		if err != nil {
			return nil, err
		}
		return mute.Close, nil
	}
	holding, err := podnet.Take(r.plan.Identity, r.cfg.Attach.StateDir, r.cfg.Log)
	if err != nil {
		return nil, err
	}
	return holding.GiveBack, nil
}

// grant is what a switch is told.
func (r *resources) grant(p *plan.Plan, pid int) grant.Message {
	g := &grant.Grant{Version: grant.Version, Keeper: pid}
	if p != nil {
		g.Forwarder = p.Wire()
	} else {
		g.Forwarder.Bridge = plan.WireBridge(*r.bridge)
	}
	if r.cfg.Switch != nil {
		g.NoMerge = r.cfg.Switch.NoMerge
	} else {
		g.NoMerge = r.cfg.Attach.NoMerge
	}
	for _, p := range r.ports {
		g.Ports = append(g.Ports, grant.Port{Name: p.name, Kind: p.spec.Kind, Spec: p.spec.String(), Present: p.handle != nil})
	}
	return grant.Message{Grant: g}
}

// openedMessage says that the port is open.
func (r *resources) openedMessage(index int) grant.Message {
	return grant.Message{Opened: wireOpened(index, r.ports[index].handle)}
}
