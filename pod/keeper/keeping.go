package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// A keeping is everything that is open for a switch, and for those that go on in its place.
type keeping struct {
	cfg     *Config
	plan    *plan.Plan            // nil: a plain learning switch
	bridge  *vswitch.BridgeConfig // nil: a guest and a pod
	ports   []*port
	control *net.UnixListener
	lock    io.Closer          // of the state directory; nil: there is none
	ctx     context.Context    // of the goroutines that open, watch and dial
	cancel  context.CancelFunc // ends them
	working chan struct{}      // a place for each goroutine that dials
}

// maxDials bounds the connections that are being made at once.
const maxDials = 512

// keep opens everything. The pod interface is untouched when it returns.
func keep(cfg *Config) (k *keeping, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	k = &keeping{cfg: cfg, ctx: ctx, cancel: cancel, working: make(chan struct{}, maxDials)}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.close())
			k = nil
		}
	}()
	if cfg.Switch != nil {
		return k, k.openSwitch()
	}
	return k, k.openPod()
}

// openPod finds out what is to be done, and opens the ports of a guest and a pod.
func (k *keeping) openPod() (err error) {
	attach := k.cfg.Attach
	if k.lock, err = podnet.Lock(attach.StateDir); err != nil {
		return err
	}
	if err := recoverEarlier(k.cfg); err != nil {
		return err
	}
	if k.plan, err = plan.Resolve(*attach); err != nil {
		return err
	}
	for _, w := range k.plan.Warnings {
		k.cfg.Log.Warn(w)
	}
	if k.cfg.Resolved != nil {
		k.cfg.Resolved(k.plan)
	}
	link := &k.plan.Identity.Link
	return k.openAll(
		&port{name: "guest", spec: attach.Guest, offload: attach.Offload, mtu: link.MTU, guest: true},
		&port{name: "uplink", spec: hypervisor.Attachment{Kind: hypervisor.KindPacket, Name: link.Name}, offload: true, uplink: link})
}

// openSwitch opens the ports of a plain learning switch.
func (k *keeping) openSwitch() error {
	var ports []*port
	for _, spec := range k.cfg.Switch.Ports {
		ports = append(ports, &port{name: spec.Name, spec: spec, offload: k.cfg.Switch.Offload})
	}
	if err := k.openAll(ports...); err != nil {
		return err
	}
	bridge := k.cfg.Switch.Bridge
	bridge.Ports, bridge.Upstream = len(ports), -1
	k.bridge = &bridge
	var err error
	bridge.MaxFrame, err = smallestFrame(k.cfg.Switch.Ports)
	return err
}

// openAll opens the control socket and the ports.
func (k *keeping) openAll(ports ...*port) (err error) {
	if k.control, err = listen(k.cfg.Control, k.cfg.Owner); err != nil {
		return err
	}
	for _, p := range ports {
		p.log, p.owner = k.cfg.Log, k.cfg.Owner
		k.ports = append(k.ports, p)
		if p.opened, err = p.open(); err != nil {
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
func (k *keeping) close() (err error) {
	k.cancel()
	for _, p := range k.ports {
		err = errors.Join(err, p.close())
	}
	if k.control != nil {
		err = errors.Join(err, k.control.Close())
	}
	if k.lock != nil {
		err = errors.Join(err, k.lock.Close())
	}
	return err
}

// take takes the address from the kernel, off the interface or by silencing it there, and returns what gives it back. A bridge
// takes nothing.
func (k *keeping) take() (giveBack func() error, err error) {
	switch {
	case k.plan == nil || !k.plan.Delegates():
		return func() error { return nil }, nil
	case k.plan.Mute:
		mute, err := podnet.Mute(k.plan.Identity)
		if err != nil {
			return nil, err
		}
		return mute.Close, nil
	}
	holding, err := podnet.Take(k.plan.Identity, k.cfg.Attach.StateDir, k.cfg.Log)
	if err != nil {
		return nil, err
	}
	return holding.GiveBack, nil
}

// grant is what a switch is told.
func (k *keeping) grant(p *plan.Plan, pid int) grant.Message {
	g := &grant.Grant{Version: grant.Version, Keeper: pid, Plan: p, Bridge: k.bridge}
	if k.cfg.Switch != nil {
		g.NoMerge = k.cfg.Switch.NoMerge
	} else {
		g.NoMerge = k.cfg.Attach.NoMerge
	}
	for _, p := range k.ports {
		g.Ports = append(g.Ports, grant.Port{Name: p.name, Kind: p.spec.Kind, Spec: p.spec.String(), Present: p.opened != nil})
	}
	return grant.Message{Grant: g}
}

// openedMessage says that the port is open.
func (k *keeping) openedMessage(index int) grant.Message {
	o := k.ports[index].opened
	return grant.Message{Opened: &grant.Opened{Port: index, Device: o.device, Socket: o.socket}}
}
