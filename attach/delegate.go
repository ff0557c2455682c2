package attach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/podswitch/podswitch/control"
	"github.com/podswitch/podswitch/podnet"
	"github.com/podswitch/podswitch/stack"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// A delegation is IP mode at work: the pod address moves from the kernel to the switch and on to the guest.
type delegation struct {
	cfg       Config
	plan      *Plan
	log       *zap.Logger
	clock     func() time.Duration
	forwarder *vswitch.Delegate
	pod       *stack.Endpoint
	server    *stack.Endpoint
	lessee    *lessee
	ports     []namedPort   // in the forwarder's order
	used      chan struct{} // the guest used the address without being its holder
	faults    chan error    // what ends the run: an internal fault outside the switch's own goroutines
	device    *device       // the guest's
	guestLog  *guestLog

	mu     sync.Mutex // guards the following
	state  state
	absent bool          // the guest's device, or the hypervisor behind it, is not there
	left   time.Duration // when it was there last, on the switch's clock
	hold   *time.Timer   // runs after the guest left
}

// newDelegation opens everything that can fail; the pod interface is untouched when it returns.
func newDelegation(cfg Config, plan *Plan) (_ *delegation, err error) {
	start := time.Now()
	d := &delegation{
		cfg: cfg, plan: plan, log: cfg.Log, guestLog: newGuestLog(cfg.Log), used: make(chan struct{}, 1), faults: make(chan error, 1),
		clock: func() time.Duration { return time.Since(start) + time.Second }, // zero means never
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	d.hold = time.AfterFunc(time.Hour, d.holdAgain)
	d.hold.Stop()
	d.forwarder = vswitch.NewDelegate(d.forwarderConfig())
	d.forwarder.Hand(d.state.holder(), vswitch.MAC{}) // the kernel, until the address is taken
	if err := d.openPorts(); err != nil {
		return nil, err
	}
	d.lessee = &lessee{
		offer: plan.Offer, only: plan.GuestMAC, log: d.guestLog, clock: d.clock, now: time.Now, apply: d.apply, heard: d.forwarder.Heard,
		probe: func(mac vswitch.MAC) { d.server.Probe(mac, plan.podAddress.Addr()) },
	}
	return d, d.startServices()
}

// openPorts opens the four ports in the forwarder's order; what was opened before an error is in d.ports.
func (d *delegation) openPorts() (err error) {
	add := func(name, kind string, p vswitch.Port, err error) error {
		if err == nil {
			d.ports = append(d.ports, namedPort{p, name, kind})
		}
		return err
	}
	d.device = &device{
		spec: d.cfg.Guest, guest: true, log: d.log, lost: func() { d.setAbsent(true) }, back: func() { d.setAbsent(false) },
		options: tap.Options{Offload: d.cfg.Offload, MTU: d.plan.Identity.Link.MTU, Counters: new(vswitch.Counters)},
	}
	guest, err := d.device.open()
	if err := add("guest", d.cfg.Guest.Kind, guest, err); err != nil {
		return err
	}
	uplink, err := openUplink(d.plan.Identity, d.log)
	if err := add("uplink", tap.KindPacket, uplink, err); err != nil {
		return err
	}
	wire, router := vswitch.MAC(d.plan.Identity.Link.MAC), d.plan.RouterMAC
	if wire.IsZero() { // a link without MACs: the forwarder writes what leaves
		wire = router
	}
	d.pod, err = stack.New(stack.Config{Address: d.plan.podAddress.Addr(), MAC: wire, PeerMAC: router,
		MTU: d.plan.Offer.MTU, ARP: !d.plan.Identity.Link.NoARP, Log: d.log.Named("pod")})
	if err := add("pod", "netstack", d.pod, err); err != nil {
		return err
	}
	// Every guest can take a DHCP message of 576 bytes in one piece, whatever the path's MTU (RFC 2131, section 2).
	d.server, err = stack.New(stack.Config{Address: d.plan.Offer.Server, MAC: router, MTU: max(d.plan.Offer.MTU, minReassembly),
		Log: d.log.Named("server")})
	return add("server", "netstack", d.server, err)
}

func (d *delegation) startServices() error {
	for _, k := range d.cfg.Keep {
		if err := d.pod.KeepTCP(k.Port, k.Target); err != nil {
			return fmt.Errorf("keep %s: %w", k, err)
		}
	}
	if len(d.plan.RelayDNS) > 0 {
		if err := d.server.RelayDNS(d.plan.RelayDNS); err != nil {
			return fmt.Errorf("relay DNS: %w", err)
		}
	}
	return d.server.ServeDHCP(d.answer)
}

// answer answers a DHCP message. A panic must not end the process before the address was given back: it ends the run.
func (d *delegation) answer(message []byte) (reply []byte, to netip.AddrPort, mac vswitch.MAC) {
	defer func() {
		if r := recover(); r != nil {
			select {
			case d.faults <- fmt.Errorf("internal fault: %v\n%s", r, debug.Stack()):
			default: // one is enough
			}
		}
	}()
	return d.lessee.handle(message)
}

func (d *delegation) close() {
	d.hold.Stop()
	closeAll(d.ports)
	if d.device != nil {
		d.device.close()
	}
}

// run takes the address, switches until ctx is done, and gives the address back.
func (d *delegation) run(ctx context.Context, l net.Listener) error {
	defer d.close()
	giveBack, err := d.take()
	if err != nil {
		return err
	}
	if uplink, ok := d.ports[vswitch.PortUplink].Port.(interface{ Discard(vswitch.Reason) }); ok {
		uplink.Discard(vswitch.NotHolder) // what came until now, the kernel has answered
	}
	d.apply(take, vswitch.MAC{})
	group, ctx := errgroup.WithContext(ctx)
	var notGivenBack error
	// The address goes back as soon as the end is clear, not only once everything else has ended.
	group.Go(func() error {
		<-ctx.Done()
		d.apply(stop, vswitch.MAC{})
		notGivenBack = giveBack()
		return nil
	})
	group.Go(func() error { return vswitch.New(d.forwarder, d.clock, bare(d.ports)...).Run(ctx) })
	group.Go(func() error { return control.Serve(ctx, l, control.Source{Status: d.status}) })
	group.Go(func() error { return d.attend(ctx) })
	group.Go(func() error { return d.watchGuest(ctx) })
	d.log.Info("ready")
	return errors.Join(group.Wait(), notGivenBack)
}

// take takes the address from the kernel, off the interface or by silencing it there, and returns what gives it back.
func (d *delegation) take() (giveBack func() error, err error) {
	if d.plan.Mute {
		mute, err := podnet.Mute(d.plan.Identity)
		if err != nil {
			return nil, err
		}
		return mute.Close, nil
	}
	holding, err := podnet.Take(d.plan.Identity, d.cfg.StateDir, d.log)
	if err != nil {
		return nil, err
	}
	return holding.GiveBack, nil
}

// attend looks after what happens without a DHCP message.
func (d *delegation) attend(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-d.faults:
			return err
		case <-d.used:
			d.apply(use, vswitch.MAC{})
		case <-ticker.C:
			d.lessee.expire()
			d.lookForGuest()
		}
	}
}

// lookForGuest asks for the pod address at the guest's port while nobody has it: a guest that only listens, and had the
// address before podswitch was started anew, answers, and thereby uses it.
func (d *delegation) lookForGuest() {
	d.mu.Lock()
	look := d.state == waiting && !d.absent
	d.mu.Unlock()
	if look {
		d.server.Probe(vswitch.Broadcast, d.plan.podAddress.Addr())
	}
}

// watchGuest notices when the hypervisor lets go of the guest's device. Of a tap that podswitch holds itself, the other
// side may be in any namespace; its loss is seen by the port.
func (d *delegation) watchGuest(ctx context.Context) error {
	if d.cfg.Guest.Kind != tap.KindPacket {
		return nil
	}
	states, err := podnet.Watch(ctx, d.cfg.Guest.Name)
	if err != nil {
		return err
	}
	for s := range states {
		d.setAbsent(!s.Present || !s.Carrier)
	}
	if ctx.Err() == nil {
		return fmt.Errorf("the kernel does not tell of %s any more", d.cfg.Guest.Name)
	}
	return nil
}

// setAbsent notes whether there is somebody behind the guest's device. One who went and was not heard again for long loses the
// address to the switch, so that the pod answers; one who comes back in time keeps it.
func (d *delegation) setAbsent(absent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if absent && !d.absent {
		d.left = d.clock()
		d.hold.Reset(d.cfg.HoldAfter)
	}
	d.absent = absent
}

// holdAgain is what happens some time after the guest's device went. That it is there again does not mean that a guest is.
func (d *delegation) holdAgain() {
	d.mu.Lock()
	gone := d.absent || d.forwarder.LastHeard() < d.left
	d.mu.Unlock()
	if gone {
		d.lessee.linkDown()
		d.apply(linkDown, vswitch.MAC{})
	}
}

// apply lets an event change the holder. A MAC other than zero is the guest's from now on. What still arrives from a guest
// that has gone is no use of the address.
func (d *delegation) apply(e event, mac vswitch.MAC) {
	d.mu.Lock()
	from := d.state
	if !(e == use && d.absent) {
		d.state = from.next(e)
	}
	to := d.state
	d.forwarder.Hand(to.holder(), mac)
	d.mu.Unlock()
	if to.holder() == from.holder() {
		return
	}
	say := d.guestLog.event
	if e == take || e == stop {
		say = d.log.Info
	}
	say("holder", zap.Stringer("from", from.holder()), zap.Stringer("to", to.holder()), zap.Stringer("because", e))
}

func (d *delegation) status() control.Status {
	d.mu.Lock()
	holder := d.state.holder()
	d.mu.Unlock()
	s := d.plan.status()
	s.Holder, s.Ports = holder.String(), statusOf(d.ports)
	if lease, ok := d.lessee.current(); ok {
		s.Lease = &control.Lease{MAC: vswitch.MAC(lease.MAC), HostName: lease.HostName, Expires: lease.Expires}
	}
	return s
}
