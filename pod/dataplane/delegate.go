package dataplane

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/stack"
	"github.com/podswitch/podswitch/vswitch"
)

// A delegation is IP mode: the pod address moves from the kernel to the switch and to the guest. Its parts:
//
//	address.go   the pod address of one family
//	holder.go    the states of an address
//	services.go  the netstack endpoints: ARP, kept ports, DHCP, DHCPv6, DNS
//	lease.go     the guest's lease of IPv4, and what both families share; leaseipv6.go has the lease of IPv6
//	prober.go    whether the owner of a lease is still there, so that another MAC may get it
//	absence.go   a guest whose device is absent
//	resume.go    the state that a takeover passes on
//	learned.go   the state that a switch leaves which ends unasked
type delegation struct {
	session    *session
	plan       *podPlan
	log        *zap.Logger
	guestLog   *guestLog
	clock      func() time.Duration
	delegate   *vswitch.Delegate
	pod        *stack.Endpoint                // holds the pod address towards the wire
	server     *stack.Endpoint                // holds the DHCP server's address towards the guest
	addresses  []*podAddress                  // one of each family that the pod has; IPv4 first
	leases     *leases                        // nil: the pod has no IPv4 address
	leasesIPv6 *leasesIPv6                    // nil: the pod has no IPv6 address
	known      atomic.Pointer[control.Status] // the fields that change with the pod's network alone
	devices    []*device                      // guest, uplink, and the egress port if there is one
	ports      []namedPort                    // in the forwarder's order
	offenders  *offenderLog                   // belongs to background
	hasWarned  bool                           // warnIfSilent has logged, or needs not to; belongs to background
	changed    chan struct{}                  // a value: the state of the address or the lease has changed
	faults     chan error                     // a value: a panic outside the switch's own goroutines, which ends the switch

	tooBig tooBigFrames

	mu        sync.Mutex // guards the following, and the states of addresses
	absence   absence
	holdTimer *time.Timer // runs endAbsence, HoldAfter after the guest's device disappeared
}

var errNoPod = errors.New("the keeper's grant does not describe a guest and a pod")

// newDelegation makes the forwarder and its services. open makes the ports of devices.
func newDelegation(s *session, g *grant.Grant, log *zap.Logger) (_ *delegation, err error) {
	if g.Forwarder.Delegate == nil {
		return nil, errNoPod
	}
	p, err := readDelegate(g.Forwarder.Delegate)
	if err != nil {
		return nil, err
	}
	want := 2
	if p.forwarder.Egress.IsValid() {
		want = 3
	}
	if len(g.Ports) != want {
		return nil, errNoPod
	}
	began := time.Now()
	d := &delegation{
		session: s, plan: p, log: log, guestLog: newGuestLog(log), offenders: newOffenderLog(log, delegateOffenders(&p.forwarder)),
		changed: make(chan struct{}, 1), tooBig: tooBigFrames{wake: make(chan struct{}, 1)}, faults: make(chan error, 1),
		clock: func() time.Duration { return time.Since(began) },
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	d.holdTimer = time.AfterFunc(time.Hour, d.endAbsence)
	d.holdTimer.Stop()
	d.known.Store(&p.status)
	d.newDevices(g.Ports)
	d.delegate = vswitch.NewDelegate(d.forwarderConfig())
	d.addresses = d.newAddresses()
	for _, a := range d.addresses {
		a.family.SetHolder(a.state.holder(), vswitch.MAC{}) // the kernel, until start
		a.family.ExpectGuest(true)
	}
	if err := d.newEndpoints(); err != nil {
		return nil, err
	}
	return d, d.startServices()
}

func (d *delegation) newDevices(ports []grant.Port) {
	for i, p := range ports {
		d.devices = append(d.devices, newDevice(d.session, i, p, d.log))
	}
	d.devices[vswitch.PortUplink].onTooBig = d.tooBig.add
	guestDevice := d.devices[vswitch.PortGuest]
	guestDevice.onLost, guestDevice.onBack = func() { d.setGuestAbsent(true) }, func() { d.setGuestAbsent(false) }
}

func (d *delegation) forwarderConfig() vswitch.DelegateConfig {
	c := d.plan.forwarder
	c.OnUse = d.applyUse
	return c
}

// kindNetstack is the kind of a port without a device in status.
const kindNetstack = "netstack"

func (d *delegation) open(ctx context.Context, before *snapshot) (err error) {
	if d.ports, err = openDevices(ctx, d.devices, before); err != nil {
		return err
	}
	d.ports = slices.Insert(d.ports, vswitch.PortPod, namedPort{Port: d.pod, name: "pod", kind: kindNetstack},
		namedPort{Port: d.server, name: "server", kind: kindNetstack})
	return nil
}

func (d *delegation) close() {
	d.holdTimer.Stop()
	closePorts(d.ports)
	for _, e := range []*stack.Endpoint{d.pod, d.server} {
		if e != nil {
			e.Close()
		}
	}
}

func (d *delegation) forwarder() vswitch.Forwarder { return d.delegate }
func (d *delegation) now() time.Duration           { return d.clock() }
func (d *delegation) portList() []namedPort        { return d.ports }
func (d *delegation) source() control.Source       { return control.Source{Status: d.status} }

// start implements mode. The kernel has answered the frames that arrived before.
func (d *delegation) start() {
	if uplink, ok := d.ports[vswitch.PortUplink].Port.(interface{ Discard(vswitch.Reason) }); ok {
		uplink.Discard(vswitch.NotHolder)
	}
	d.applyAll(taken)
}

// stop implements mode.
func (d *delegation) stop() { d.applyAll(stop) }

// background implements mode: it handles the expiry of the lease and the end of a release, probes for the guest, logs what an
// operator has to know, and reports what the next switch has to know.
func (d *delegation) background(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var learned reporter
	d.report(&learned)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-d.faults:
			return err
		case <-ticker.C:
			for _, a := range d.addresses {
				a.tick()
			}
			d.offenders.check(d.ports, d.clock())
			d.warnIfSilent()
			d.report(&learned)
		case <-d.changed:
			d.report(&learned)
		case <-d.tooBig.wake:
			d.answerTooBig()
		}
	}
}
