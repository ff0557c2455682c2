package plan

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/podnet"
)

// Follow returns the plan while p is in effect and the pod interface has changed to id. The settings, and what the guest cannot learn while it is
// attached, stay as in p: the method, the router MAC, the DHCP server, the rules, the way out of the pod's own processes, and the MTU of the guest's device, which is the largest one. refused names the changes
// that have no effect, one sentence each.
func Follow(p *Plan, id *podnet.Identity) (next *Plan, refused []string, err error) {
	id, refused = p.possible(id)
	if next, err = resolve(p.cfg, id, p.env); err != nil {
		return nil, nil, err
	}
	if next.Mute != p.Mute || next.Method != p.Method {
		return nil, nil, fmt.Errorf("%s is another kind of interface now", id.Link.Name)
	}
	next.Rules, next.RelayDNS, next.Egress = p.Rules, p.RelayDNS, p.Egress
	next.keepDevice(p)
	return next, refused, nil
}

// keepDevice makes the MTU of the guest's device that of an earlier plan, with which the device was opened.
func (p *Plan) keepDevice(before *Plan) {
	p.GuestMTU = before.GuestMTU
	if p.Offer != nil {
		offer := *p.Offer
		offer.MTU = min(p.Identity.MTU(podnet.IPv4), p.GuestMTU)
		p.Offer = &offer
	}
	if p.OfferIPv6 != nil {
		offer := *p.OfferIPv6
		offer.MTU = p.mtuIPv6()
		p.OfferIPv6 = &offer
	}
}

// possible returns the identity without the changes that cannot be followed.
func (p *Plan) possible(now *podnet.Identity) (id *podnet.Identity, refused []string) {
	refuse := func(format string, args ...any) { refused = append(refused, fmt.Sprintf(format, args...)) }
	changed, before := *now, p.Identity
	changed.Resolv, changed.HostName = before.Resolv, before.HostName
	if !p.Delegates() {
		return &changed, nil
	}
	for f, mine := range map[podnet.Family]netip.Prefix{podnet.IPv4: p.Address, podnet.IPv6: p.AddressIPv6} {
		address, ok := now.PodAddress(f)
		switch {
		case !mine.IsValid() || address == mine:
			continue
		case ok:
			refuse("the pod address of %s is %s now: the guest keeps %s (restart podswitch)", now.Link.Name, address, mine)
		default:
			refuse("the pod address %s was removed from %s: the guest keeps it (restart podswitch)", mine, now.Link.Name)
		}
		changed.CopyAddresses(before)
	}
	if changed.MoreAdvertised {
		refused = append(refused, tooManyAdvertised(now))
	}
	if changed.Link.NoARP != before.Link.NoARP {
		refuse("%s has ARP: %v now, and had ARP: %v (restart podswitch)", now.Link.Name, !now.Link.NoARP, !before.Link.NoARP)
		changed.Link.NoARP = before.Link.NoARP
	}
	if changed.Link.MTU > p.GuestMTU && changed.Link.MTU > before.Link.MTU {
		refuse("the MTU of %s is %d now, and the guest's device was opened with %d: the guest keeps %d at most (restart podswitch)",
			now.Link.Name, changed.Link.MTU, p.GuestMTU, p.GuestMTU)
	}
	return &changed, refused
}

// Differences returns what a switch would learn from next in place of p, a few words each, and nothing if that is the same.
func (p *Plan) Differences(next *Plan) (list []string) {
	before, after := p.Wire(), next.Wire()
	if isSameForwarder(&before, &after) {
		return nil
	}
	add := func(what string, from, to any) {
		if from != to {
			list = append(list, fmt.Sprintf("%s: %v to %v", what, from, to))
		}
	}
	a, b := p.Identity, next.Identity
	add("name", a.Link.Name, b.Link.Name)
	add("MAC", a.Link.MAC, b.Link.MAC)
	add("MTU of the link", a.Link.MTU, b.Link.MTU)
	if p.Offer != nil && next.Offer != nil {
		add("MTU of the guest", p.Offer.MTU, next.Offer.MTU)
		add("gateway", p.Offer.Gateway, next.Offer.Gateway)
		add("end of the address", p.Offer.Expires.Unix(), next.Offer.Expires.Unix())
	}
	if p.OfferIPv6 != nil && next.OfferIPv6 != nil {
		add("MTU of the guest's IPv6", p.OfferIPv6.MTU, next.OfferIPv6.MTU)
		add("end of the IPv6 address", p.OfferIPv6.Expires.Unix(), next.OfferIPv6.Expires.Unix())
	}
	list = append(list, movedOf("route", allUplinkRoutes(a), allUplinkRoutes(b))...)
	list = append(list, movedOf("permanent neighbour", permanent(a), permanent(b))...)
	return list
}

// shownChanges bounds the objects of one kind that Differences names.
const shownChanges = 4

// movedOf returns the objects that only one of two lists has.
func movedOf[T any](what string, before, after []T) (list []string) {
	in := func(list []T, e T) bool {
		return slices.ContainsFunc(list, func(o T) bool { return reflect.DeepEqual(o, e) })
	}
	count := 0
	note := func(verb string, e T) {
		if count++; count <= shownChanges {
			list = append(list, fmt.Sprintf("%s %s: %v", what, verb, e))
		}
	}
	if len(before)+len(after) > 1000 { // every pair is compared
		return []string{fmt.Sprintf("%ss: %d to %d", what, len(before), len(after))}
	}
	for _, e := range before {
		if !in(after, e) {
			note("removed", e)
		}
	}
	for _, e := range after {
		if !in(before, e) {
			note("added", e)
		}
	}
	if count > shownChanges {
		list = append(list, fmt.Sprintf("and %d more %ss", count-shownChanges, what))
	}
	return list
}

// lifetimeSlack is the difference of two lifetimes in seconds that is none: they are read at different times.
const lifetimeSlack = 2

// A lifetimePair is one lifetime of two descriptions, in seconds.
type lifetimePair struct{ from, to *int64 }

func isSameForwarder(a, b *grant.Forwarder) bool {
	if a.Delegate == nil || b.Delegate == nil {
		return reflect.DeepEqual(a, b)
	}
	same := *b.Delegate
	var lifetimes []lifetimePair
	if from := a.Delegate.Offer; from != nil && same.Offer != nil {
		to := *same.Offer
		same.Offer = &to
		lifetimes = append(lifetimes, lifetimePair{&from.Valid, &to.Valid}, lifetimePair{&from.Preferred, &to.Preferred})
	}
	if from := a.Delegate.OfferIPv6; from != nil && same.OfferIPv6 != nil {
		to := *same.OfferIPv6
		same.OfferIPv6 = &to
		lifetimes = append(lifetimes, lifetimePair{&from.Valid, &to.Valid}, lifetimePair{&from.Preferred, &to.Preferred})
	}
	for _, l := range lifetimes {
		if d := *l.from - *l.to; -lifetimeSlack <= d && d <= lifetimeSlack && *l.from != 0 && *l.to != 0 {
			*l.to = *l.from
		}
	}
	return reflect.DeepEqual(a.Delegate, &same)
}
