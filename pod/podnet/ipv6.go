package podnet

// This file has what is particular to the take of an IPv6 address.
//
// The kernel keeps more than with IPv4 when an address goes: static routes, neighbours and the other addresses. It removes the prefix route,
// and forgets the preferred source of other routes. It also leaves the address's solicited-node group (RFC 4291, 2.7.1): a bridge with an
// MLD querier would no longer deliver neighbour solicitations for the address to the pod. So the taker joins the group itself.
//
// An address that is added again is tentative for a second (RFC 4862, 5.4): the pod would be unreachable, and its own hairpinned probe could
// make it a duplicate. So giving back adds the address without duplicate address detection (IFA_F_NODAD), and then replaces its flags by the
// recorded ones, which starts none (inet6_addr_modify in net/ipv6/addrconf.c).

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Protocols of addresses that the kernel makes (linux/if_addr.h).
const (
	protocolRouterAdvertisement = 2 // IFAPROT_KERNEL_RA
	protocolLinkLocal           = 3 // IFAPROT_KERNEL_LL
)

// divideIPv6 returns the address that Take removes, if there is one, and the others.
func divideIPv6(all []Address) (taken, kept []Address) {
	for _, a := range all {
		if len(taken) == 0 && a.isMovableIPv6() {
			taken = append(taken, a)
		} else {
			kept = append(kept, a)
		}
	}
	return taken, kept
}

// isMovableIPv6 reports whether an IPv6 address is a permanent global one of the network plugin. Those that the kernel made from router
// advertisements are not: their state cannot be restored.
func (a Address) isMovableIPv6() bool {
	const wanted, refused = unix.IFA_F_PERMANENT, unix.IFA_F_TEMPORARY | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
	return a.Scope == unix.RT_SCOPE_UNIVERSE && a.Prefix.Addr().IsGlobalUnicast() && a.Protocol != protocolRouterAdvertisement &&
		a.Flags&wanted != 0 && a.Flags&refused == 0
}

// WhyKept returns why Take leaves an IPv6 address of Kept on the interface, as the end of a sentence about the kernel.
func (a Address) WhyKept() string {
	switch {
	case a.Protocol == protocolRouterAdvertisement || a.Flags&(unix.IFA_F_TEMPORARY|unix.IFA_F_MANAGETEMPADDR) != 0:
		return "which has made it from a router advertisement"
	case a.Flags&unix.IFA_F_DADFAILED != 0:
		return "which has found that another host has it (dadfailed)"
	case a.Flags&unix.IFA_F_DEPRECATED != 0:
		return "because it is deprecated"
	case a.Flags&unix.IFA_F_PERMANENT == 0:
		return "because it has a lifetime"
	}
	return "because one address of a family moves"
}

// IsTentative reports whether the kernel does not know yet whether another host has the address (RFC 4862, section 5.4). Take waits for it.
func (a Address) IsTentative() bool {
	return a.family() == IPv6 && a.Flags&unix.IFA_F_TENTATIVE != 0
}

// The kernel decides within about two seconds whether an address is a duplicate, by default (dad_transmits, retrans_time).
const (
	tentativeLimit = 10 * time.Second
	tentativePause = 50 * time.Millisecond
)

// awaitIPv6 waits until no recorded address is tentative. It returns an error if one is a duplicate of another host's.
func (t *transaction) awaitIPv6() error {
	link := t.record.Pod.Link
	want := only(IPv6, t.record.Pod.Addresses)
	for deadline := time.Now().Add(tentativeLimit); len(want) > 0; time.Sleep(tentativePause) {
		have, err := t.conn.addresses(IPv6, link.Index)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(have, want[0].same)
		switch {
		case i < 0:
			return fmt.Errorf("the address %v of %s has been removed by another program", want[0], link.Name)
		case have[i].Flags&unix.IFA_F_DADFAILED != 0:
			return fmt.Errorf("the address %v of %s is a duplicate of another host's (dadfailed): remove the other, and add it again", want[0], link.Name)
		case have[i].Flags&unix.IFA_F_TENTATIVE == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("the address %v of %s is still tentative after %v: wait for duplicate address detection", want[0], link.Name, tentativeLimit)
		}
	}
	return nil
}

// joinGroup keeps the link in the solicited-node group of the recorded IPv6 address, if there is one, until the result is closed or the
// process ends.
func joinGroup(id *Identity) (io.Closer, error) {
	address, ok := id.PodAddress(IPv6)
	if !ok {
		return closer(func() error { return nil }), nil
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	host := address.Addr().As16()
	group := &unix.IPv6Mreq{Interface: uint32(id.Link.Index),
		Multiaddr: [16]byte{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, host[13], host[14], host[15]}}
	if err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, group); err != nil {
		return nil, errors.Join(fmt.Errorf("join the solicited-node group of %v on %s: %w", address.Addr(), id.Link.Name, err), unix.Close(fd))
	}
	return closer(func() error { return unix.Close(fd) }), nil
}

// restoreIPv6Address adds the recorded address if it is absent.
func (t *transaction) restoreIPv6Address() error {
	index := t.record.Pod.Link.Index
	for _, a := range only(IPv6, t.record.Pod.Addresses) {
		have, err := t.conn.addresses(IPv6, index)
		if err != nil {
			return err
		}
		aged, alive := a.aged(uptime() - t.record.Uptime)
		switch i := slices.IndexFunc(have, a.same); {
		case i >= 0 && have[i].Flags&unix.IFA_F_NODAD == a.Flags&unix.IFA_F_NODAD:
			continue // another program may have given it other lifetimes
		case i >= 0 && a.Flags&unix.IFA_F_NODAD != 0:
			continue // it was added again by another program, and is in use
		case i >= 0: // a process was killed between the two steps
		case !alive:
			t.reportLost("address %v: it has expired", a)
			continue
		default:
			if err := t.addWithoutDetection(index, aged); err != nil {
				return err
			}
		}
		if a.Flags&unix.IFA_F_NODAD == 0 {
			if err := t.conn.replaceAddress(index, aged); err != nil {
				return err
			}
			t.stepDone("replace the flags of the IPv6 address")
		}
		if err := t.awaitLocal(aged); err != nil {
			return err
		}
	}
	return nil
}

// The kernel takes up an address on another thread, in a moment.
const (
	localLimit = 2 * time.Second
	localPause = time.Millisecond
)

// awaitLocal waits until the kernel receives packets for an address.
func (t *transaction) awaitLocal(a Address) error {
	for deadline := time.Now().Add(localLimit); ; time.Sleep(localPause) {
		isLocal, err := t.conn.isLocal(a.Prefix.Addr())
		if err != nil || isLocal {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the kernel does not receive packets for the address %v that was added again", a)
		}
	}
}

func (t *transaction) addWithoutDetection(index int, a Address) error {
	a.Flags = a.Flags&^unix.IFA_F_OPTIMISTIC | unix.IFA_F_NODAD // the kernel refuses both together
	err := t.conn.addAddress(index, a)
	if err == nil {
		t.stepDone("add the IPv6 address")
	}
	return err
}

// restoreIPv6Routes restores what the kernel has changed about routes with the address: its prefix routes and preferred sources.
func (t *transaction) restoreIPv6Routes() error {
	pod := t.record.Pod
	address, ok := pod.PodAddress(IPv6)
	if !ok {
		return nil
	}
	changed := slices.DeleteFunc(only(IPv6, pod.Routes), func(r Route) bool { return r.Source != address.Addr() && !isPrefixRoute(r, pod.Addresses) })
	have, err := t.conn.rivals(changed)
	if err != nil {
		return err
	}
	var errs []error
	for _, route := range changed {
		if slices.ContainsFunc(have[route.slot()], route.same) {
			continue
		}
		errs = append(errs, t.lostOr(t.restoreIPv6Route(t.aged(route), have[route.slot()])))
		t.stepDone("restore an IPv6 route")
	}
	return errors.Join(errs...)
}

// restoreIPv6Route adds a route in place of the one without its source, or of another one of the link. The kernel replaces the first one of the slot,
// which may be of another interface. Then the route without its source is removed, and the new one is the last.
func (t *transaction) restoreIPv6Route(route Route, slot []Route) error {
	rivals := slices.DeleteFunc(slices.Clone(slot), func(r Route) bool { return r.canShare() != route.canShare() })
	bare := route
	bare.Source = netip.Addr{}
	switch {
	case len(rivals) == 0 || rivals[0].same(bare):
		return t.conn.replaceRoute(route)
	case slices.ContainsFunc(rivals, bare.same):
		if err := t.conn.removeRoute(bare); err != nil {
			return err
		}
	case rivals[0].leavesThrough(t.record.Pod.Link.Index):
		return t.conn.replaceRoute(route)
	}
	return t.conn.addRoute(route, false)
}

// canShare reports whether the kernel makes a route of IPv6 part of a multipath route (rt6_qualify_for_ecmp in include/net/ip6_route.h). It replaces
// such a route by such a route alone, and any other route by any other one.
func (r Route) canShare() bool {
	return r.Protocol != unix.RTPROT_RA && r.nextHops()[0].Gateway.IsValid()
}

// aged returns the route with the seconds that are left of it: at least one, and the kernel then removes it.
func (t *transaction) aged(route Route) Route {
	if route.Expires != 0 {
		passed := uint32(min((uptime()-t.record.Uptime)/time.Second, 1<<31))
		route.Expires = max(route.Expires, passed+1) - passed
	}
	return route
}
