package dataplane

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

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/stack"
	"github.com/podswitch/podswitch/vswitch"
)

// minReassembly is the size in bytes of a packet that every host must be able to take (RFC 791, section 3.1).
const minReassembly = 576

// A delegation is IP mode at work: the pod address moves from the kernel to the switch and on to the guest.
type delegation struct {
	keeper   *keeper
	plan     *podPlan
	log      *zap.Logger
	clock    func() time.Duration
	delegate *vswitch.Delegate
	pod      *stack.Endpoint
	server   *stack.Endpoint
	lessee   *lessee
	devices  []*device     // guest and uplink
	ports    []namedPort   // in the forwarder's order
	used     chan struct{} // the guest used the address without being its holder
	faults   chan error    // what ends the run: an internal fault outside the switch's own goroutines
	guestLog *guestLog

	mu     sync.Mutex // guards the following
	state  state
	absent bool          // the guest's device, or the hypervisor behind it, is not there
	left   time.Duration // when it was there last, on the switch's clock
	hold   *time.Timer   // runs after the guest left
}

// newDelegation makes everything but the ports of devices.
func newDelegation(k *keeper, g *grant.Grant, log *zap.Logger) (_ *delegation, err error) {
	if g.Forwarder.Delegate == nil || len(g.Ports) != 2 {
		return nil, errors.New("the keeper's grant does not describe a guest and a pod")
	}
	p, err := readDelegate(g.Forwarder.Delegate)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	d := &delegation{
		keeper: k, plan: p, log: log, guestLog: newGuestLog(log), used: make(chan struct{}, 1), faults: make(chan error, 1),
		clock: func() time.Duration { return time.Since(start) + time.Second }, // zero means never
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	d.hold = time.AfterFunc(time.Hour, d.holdAgain)
	d.hold.Stop()
	for i, p := range g.Ports {
		d.devices = append(d.devices, newDevice(k, i, p, log))
	}
	d.devices[vswitch.PortGuest].lost, d.devices[vswitch.PortGuest].back = func() { d.setAbsent(true) }, func() { d.setAbsent(false) }
	d.delegate = vswitch.NewDelegate(d.forwarderConfig())
	d.delegate.Hand(d.state.holder(), vswitch.MAC{}) // the kernel, until the address is taken
	if err := d.newEndpoints(); err != nil {
		return nil, err
	}
	d.lessee = &lessee{
		offer: d.plan.offer, only: d.plan.forwarder.PinnedMAC, log: d.guestLog, clock: d.clock, now: time.Now, apply: d.apply, heard: d.delegate.Heard,
		probe: func(mac vswitch.MAC) { d.server.Probe(mac, d.plan.forwarder.Address.Addr()) },
	}
	return d, d.startServices()
}

// forwarderConfig is what the forwarder has to know.
func (d *delegation) forwarderConfig() vswitch.DelegateConfig {
	c := d.plan.forwarder
	c.OnUse = func() {
		select {
		case d.used <- struct{}{}:
		default: // it is known already
		}
	}
	return c
}

// newEndpoints makes the two netstack instances.
func (d *delegation) newEndpoints() (err error) {
	wire, router := d.plan.forwarder.WireMAC, d.plan.forwarder.RouterMAC
	if wire.IsZero() { // a link without MACs: the forwarder writes what leaves
		wire = router
	}
	d.pod, err = stack.New(stack.Config{Address: d.plan.forwarder.Address.Addr(), MAC: wire, PeerMAC: router,
		MTU: d.plan.offer.MTU, ARP: !d.plan.forwarder.NoARP, Log: d.log.Named("pod")})
	if err != nil {
		return err
	}
	// Every guest can take a DHCP message of 576 bytes in one piece, whatever the path's MTU (RFC 2131, section 2).
	d.server, err = stack.New(stack.Config{Address: d.plan.offer.Server, MAC: router, MTU: max(d.plan.offer.MTU, minReassembly),
		Log: d.log.Named("server")})
	return err
}

func (d *delegation) startServices() error {
	for i, port := range d.plan.forwarder.KeptTCP {
		dial := func(ctx context.Context) (net.Conn, error) { return d.keeper.dial(ctx, grant.Kept, i) }
		if err := d.pod.KeepTCP(port, dial); err != nil {
			return fmt.Errorf("keep tcp/%d: %w", port, err)
		}
	}
	if len(d.plan.relayDNS) > 0 {
		if err := d.server.RelayDNS(d.plan.relayDNS, d.dialServer); err != nil {
			return fmt.Errorf("relay DNS: %w", err)
		}
	}
	return d.server.ServeDHCP(d.answer)
}

// dialServer connects to a name server that only the pod can reach.
func (d *delegation) dialServer(ctx context.Context, network string, server int) (net.Conn, error) {
	service := grant.DNSTCP
	if network == "udp" {
		service = grant.DNSUDP
	}
	return d.keeper.dial(ctx, service, server)
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

// open makes the ports, in the forwarder's order.
func (d *delegation) open(ctx context.Context, before *snapshot) error {
	for _, device := range d.devices {
		p, err := device.open(ctx, before)
		if err != nil {
			return err
		}
		d.ports = append(d.ports, p)
	}
	d.ports = append(d.ports, namedPort{d.pod, "pod", kindNetstack}, namedPort{d.server, "server", kindNetstack})
	return nil
}

// kindNetstack is what status says of a port without a device.
const kindNetstack = "netstack"

func (d *delegation) close() {
	d.hold.Stop()
	closeAll(d.ports)
	for _, e := range []*stack.Endpoint{d.pod, d.server} {
		if e != nil {
			e.Close()
		}
	}
}

func (d *delegation) forwarder() vswitch.Forwarder { return d.delegate }
func (d *delegation) since() time.Duration         { return d.clock() }
func (d *delegation) list() []namedPort            { return d.ports }
func (d *delegation) guest(absent bool)            { d.setAbsent(absent) }
func (d *delegation) source() control.Source       { return control.Source{Status: d.status} }

// begin takes over from the kernel.
func (d *delegation) begin() {
	if uplink, ok := d.ports[vswitch.PortUplink].Port.(interface{ Discard(vswitch.Reason) }); ok {
		uplink.Discard(vswitch.NotHolder) // what came until now, the kernel has answered
	}
	d.apply(take, vswitch.MAC{})
}

// yield gives the address back to the kernel.
func (d *delegation) yield() { d.apply(stop, vswitch.MAC{}) }

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
		d.server.Probe(vswitch.Broadcast, d.plan.forwarder.Address.Addr())
	}
}

// setAbsent notes whether there is somebody behind the guest's device. One who went and was not heard again for long loses the
// address to the switch, so that the pod answers; one who comes back in time keeps it.
func (d *delegation) setAbsent(absent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if absent && !d.absent {
		d.left = d.clock()
		d.hold.Reset(d.plan.holdAfter)
	}
	d.absent = absent
}

// holdAgain is what happens some time after the guest's device went. That it is there again does not mean that a guest is.
func (d *delegation) holdAgain() {
	d.mu.Lock()
	used, ok := d.delegate.LastHeard()
	gone := d.absent || !ok || used < d.left
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
	d.delegate.Hand(to.holder(), mac)
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
	s := d.plan.status
	s.Holder, s.Ports = holder.String(), statusOf(d.ports)
	if lease, ok := d.lessee.current(); ok {
		s.Lease = &control.Lease{MAC: vswitch.MAC(lease.MAC), HostName: lease.HostName, Expires: lease.Expires}
	}
	return s
}
