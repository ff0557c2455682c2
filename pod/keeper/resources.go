package keeper

import (
	"context"
	"errors"
	"io"
	"slices"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// Resources are what is open for a switch, and for those that take over from it.
type resources struct {
	cfg        *Config
	plan       *plan.Plan            // nil: a plain learning switch
	bridge     *vswitch.BridgeConfig // nil: a guest and a pod
	noMergeUDP bool                  // the kernel does not cut merged UDP datagrams right, or it is unknown
	ports      []*port               // in the order of the forwarder's ports
	control    *unixsocket.Listener
	adopted    *podnet.Taken      // the address that was taken already; nil: it was not
	taken      *podnet.Taken      // the address; nil: it is on the interface
	revision   int                // of what switches are told of the pod's network
	refused    []string           // changes of the pod's network that have no effect
	lent       bool               // control belongs to the keeper and stays open
	lock       io.Closer          // of the state directory; nil: a plain learning switch
	ctx        context.Context    // done when the resources are closed; of the goroutines that open, watch and dial
	cancel     context.CancelFunc // ends ctx
	dialSlots  chan struct{}      // semaphore: one element for each goroutine that dials

	readNetwork networkReader // of a test; nil: reader says which
}

// openResources opens everything that a switch needs, except the control socket if that is lent. It does not change the pod interface,
// except to give back what an earlier run has left. With adopt, it leaves an address off the interface that a keeper has taken which was
// killed.
func openResources(cfg *Config, lent *unixsocket.Listener, adopt bool) (r *resources, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	r = &resources{cfg: cfg, control: lent, lent: lent != nil, ctx: ctx, cancel: cancel, dialSlots: make(chan struct{}, maxDials)}
	defer func() {
		if err != nil {
			if r.adopted != nil {
				err = errors.Join(err, r.adopted.GiveBack())
			}
			err = errors.Join(err, r.close())
			r = nil
		}
	}()
	if cfg.Switch != nil {
		return r, r.openSwitch()
	}
	return r, r.openPod(adopt)
}

// openPod resolves the plan, and opens the ports of a guest and a pod.
func (r *resources) openPod(adopt bool) (err error) {
	pod := r.cfg.Pod
	if r.lock, err = podnet.Lock(pod.StateDir); err != nil {
		return err
	}
	if r.plan, err = r.resolve(adopt); err != nil {
		return err
	}
	for _, w := range r.plan.Warnings {
		r.cfg.Log.Warn(w)
	}
	if r.cfg.Resolved != nil {
		r.cfg.Resolved(r.plan)
	}
	link := r.plan.Identity.Link
	specs := []portSpec{
		{name: "guest", spec: pod.Guest, offload: pod.Offload, mtu: r.plan.GuestMTU, guest: true},
		{name: "uplink", spec: hypervisor.Attachment{Kind: hypervisor.KindPacket, Name: link.Name}, offload: true, uplink: &link,
			types: r.plan.UplinkEthertypes(), own: r.plan.UplinkOwnFrames()},
	}
	if e := r.plan.Egress; e != nil {
		specs = append(specs, portSpec{name: "egress", spec: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: e.Device}, offload: true,
			mtu: r.plan.Identity.MTU(podnet.IPv4), egress: e})
	}
	return r.openAll(specs...)
}

// resolve returns the plan. It gives back what an earlier run has left, or adopts it.
func (r *resources) resolve(adopt bool) (*plan.Plan, error) {
	if adopt {
		if p, err := r.adopt(); p != nil || err != nil {
			return p, err
		}
	}
	if err := restoreEarlier(r.cfg); err != nil {
		return nil, err
	}
	return plan.Resolve(*r.cfg.Pod)
}

// openSwitch opens the ports of a plain learning switch.
func (r *resources) openSwitch() error {
	var specs []portSpec
	for _, a := range r.cfg.Switch.Ports {
		specs = append(specs, portSpec{name: a.Name, spec: a, offload: r.cfg.Switch.Offload})
	}
	if err := r.openAll(specs...); err != nil {
		return err
	}
	maxFrame, err := longestFrame(r.cfg.Switch.Ports)
	bridge := r.cfg.Switch.Bridge
	bridge.Ports, bridge.Upstream, bridge.MaxFrame = len(specs), -1, maxFrame
	r.bridge = &bridge
	return err
}

// openAll opens the control socket and the ports.
func (r *resources) openAll(specs ...portSpec) (err error) {
	if !r.lent {
		listen := func() (*unixsocket.Listener, error) { return unixsocket.Listen(controlSpec(r.cfg)) }
		if r.control, err = whenReleased(r.adopted != nil, listen); err != nil {
			return err
		}
	}
	for _, s := range specs {
		s.owner = r.cfg.Owner
		p := newPort(s, r.cfg.Log)
		r.ports = append(r.ports, p)
		p.handle, err = whenReleased(r.adopted != nil, p.opener.open)
		if err != nil && s.egress == nil {
			return s.explain(err)
		} else if err != nil { // the guest does not depend on it
			r.cfg.Log.Warn("the pod's own processes do not reach other hosts", zap.Error(err))
		}
	}
	r.askKernel(tap.Mergeable)
	return nil
}

// askKernel finds out by ask whether the ports may merge UDP datagrams. The switch has no privilege for that.
func (r *resources) askKernel(ask func() (tap.Merging, error)) {
	if r.noMerge() {
		return
	}
	if what, err := ask(); what != tap.MergeDatagrams {
		r.noMergeUDP = true
		r.cfg.Log.Warn("UDP datagrams are not merged", zap.Error(err))
	}
}

// noMerge reports whether the ports shall merge nothing.
func (r *resources) noMerge() bool {
	if r.cfg.Switch != nil {
		return r.cfg.Switch.NoMerge
	}
	return r.cfg.Pod.NoMerge
}

// longestFrame returns the length in bytes of the longest frame that all ports can carry: a bridge has one MTU.
func longestFrame(ports []hypervisor.Attachment) (int, error) {
	length := vswitch.MaxFrame
	for _, a := range ports {
		if a.Kind != hypervisor.KindTap && a.Kind != hypervisor.KindPacket {
			continue // a socket has no MTU
		}
		mtu, err := tap.MTU(a.Name)
		if err != nil {
			return 0, err
		}
		length = min(length, mtu+plan.EthernetHeader)
	}
	return length, nil
}

// hasConnections reports whether a switch may have connections to hypervisors, which it passes with its snapshot. A hypervisor has one, and
// all others would be a danger for the keeper (grant.Conn.RefuseFiles).
func (r *resources) hasConnections() bool {
	return slices.ContainsFunc(r.ports, func(p *port) bool { return p.handle != nil && p.handle.socket != nil && p.handle.socket.Listening })
}

// uplink returns the port on the pod interface, or nil if there is none.
func (r *resources) uplink() *port {
	for _, p := range r.ports {
		if p.uplink != nil {
			return p
		}
	}
	return nil
}

// revokeUplink keeps a switch that hangs, or that is stopped and goes on later, from answering for the address beside the kernel. The
// error is known to close too.
func (r *resources) revokeUplink() {
	if p := r.uplink(); p != nil {
		_ = p.revoke(revokePatience)
	}
}

// close closes everything. Goroutines that still use r.ctx discard their results.
func (r *resources) close() (err error) {
	r.cancel()
	for _, p := range r.ports {
		err = errors.Join(err, p.close())
	}
	if r.control != nil && !r.lent {
		err = errors.Join(err, r.control.Close())
	}
	if r.lock != nil {
		err = errors.Join(err, r.lock.Close())
	}
	return err
}

// takeAddress takes the address off the interface, or silences the kernel for it there, and returns the function that gives it back.
// A bridge does not take the address.
func (r *resources) takeAddress() (undo func() error, err error) {
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
	address, err := podnet.Take(r.plan.Identity, r.cfg.Pod.StateDir, r.cfg.Log)
	if err != nil {
		return nil, err
	}
	r.taken = address
	return address.GiveBack, nil
}

// grant describes the resources for a switch with the plan p; nil: for a plain learning switch.
func (r *resources) grant(p *plan.Plan, pid int) grant.Message {
	g := &grant.Grant{Version: grant.Version, Keeper: pid}
	if p != nil {
		g.Forwarder = p.Wire()
	} else {
		g.Forwarder.Bridge = plan.WireBridge(*r.bridge)
	}
	g.NoMerge, g.NoMergeUDP = r.noMerge(), r.noMergeUDP
	for _, p := range r.ports {
		g.Ports = append(g.Ports, grant.Port{Name: p.name, Kind: p.spec.Kind, Spec: p.spec.String(), Present: p.isOpen()})
	}
	return grant.Message{Grant: g}
}

// openedMessage describes the handle of a port that is open.
func (r *resources) openedMessage(index int) grant.Message {
	return grant.Message{Opened: wireOpened(index, r.ports[index].handle)}
}
