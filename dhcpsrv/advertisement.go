package dhcpsrv

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// Router advertisements (RFC 4861, section 4.2). The guest takes its default route from them, and the M flag makes it ask for an address
// by DHCPv6.

// advertisedFor is the lifetime of the router, of name servers and of routes in an advertisement. It is the longest that RFC 4861, section
// 6.2.1, allows for a router: the guest keeps its routes while the switch is being replaced.
const advertisedFor = 9000 * time.Second

const (
	icmpRouterAdvertisement = 134
	currentHopLimit         = 64
	managedAndOther         = 0xc0 // flags M and O
	onLink                  = 0x80 // flag L; without A, no client makes an address of its own of the prefix

	// Types of options, and their unit of length (RFC 4861, section 4.6; RFC 4191, section 2.3; RFC 8106, section 5).
	raSourceMAC = 1
	raPrefix    = 3
	raMTU       = 5
	raRoute     = 24
	raServers   = 25
	raSearch    = 31
	raUnit      = 8
)

// RouterAdvertisement returns the ICMPv6 message of a router advertisement. The caller fills in the checksum, which is 0 in it, and sends
// it from Router with the hop limit 255. It is at most 1240 bytes long, and the caller owns it.
//
// Its only prefix is the pod address itself, on-link: nothing else is (RFC 5942, section 4). Without a prefix, some boot loaders do not
// connect the address of DHCPv6 with this router. The router's lifetime is 0 if the pod has no default route; the pod's routes are in the
// advertisement then (RFC 4191). It tells the pod address and its lifetime as of now.
func (o *Offer6) RouterAdvertisement(now time.Time) []byte {
	lifetime := advertisedFor
	if !o.isDefaultRouter() {
		lifetime = 0
	}
	message := []byte{icmpRouterAdvertisement, 0, 0, 0, currentHopLimit, managedAndOther}
	message = binary.BigEndian.AppendUint16(message, uint16(lifetime/time.Second))
	message = append(message, make([]byte, 8)...) // reachable time, retransmission timer: unspecified
	message = appendRA(message, raSourceMAC, o.RouterMAC[:])
	if o.MTU != 0 {
		message = appendRA(message, raMTU, []byte{0, 0}, binary.BigEndian.AppendUint32(nil, uint32(o.MTU)))
	}
	message = appendRA(message, raPrefix, o.prefix(now))
	if len(o.NameServers) > 0 {
		message = appendRA(message, raServers, []byte{0, 0}, seconds(advertisedFor), encodeAddrs(o.NameServers))
	}
	if len(o.Search) > 0 {
		message = appendRA(message, raSearch, []byte{0, 0}, seconds(advertisedFor), encodeSearch(o.Search))
	}
	for _, p := range o.routes {
		message = appendRA(message, raRoute, encodeRoute(p))
	}
	return message
}

// prefix returns the value of the prefix information.
func (o *Offer6) prefix(now time.Time) []byte {
	valid := max(0, untilEnd(o.Lease, o.Expires, now))
	preferred := min(valid, max(0, untilEnd(valid, o.Deprecated, now)))
	return slices.Concat([]byte{byte(o.Address.BitLen()), onLink}, seconds(valid), seconds(preferred), make([]byte, 4), o.Address.AsSlice())
}

// encodeRoute returns the value of a route option of medium preference, with as much of the prefix as its length needs.
func encodeRoute(p netip.Prefix) []byte {
	significant := (p.Bits() + 63) / 64 * 8
	return slices.Concat([]byte{byte(p.Bits()), 0}, seconds(advertisedFor), p.Addr().AsSlice()[:significant])
}

// appendRA appends an option, padded to a multiple of the unit of length.
func appendRA(message []byte, kind byte, parts ...[]byte) []byte {
	value := slices.Concat(parts...)
	units := (2 + len(value) + raUnit - 1) / raUnit
	message = append(message, kind, byte(units))
	message = append(message, value...)
	return append(message, make([]byte, units*raUnit-2-len(value))...)
}

// isDefaultRouter reports whether the pod has a default route.
func (o *Offer6) isDefaultRouter() bool {
	return slices.ContainsFunc(o.Routes, func(p netip.Prefix) bool { return p.Bits() == 0 })
}

// toldRoutes returns the routes of the advertisement: none if there is a default route, which reaches all of them, and otherwise as many as
// fit beside the other options into the least MTU.
func (o *Offer6) toldRoutes(w *warnings) []netip.Prefix {
	if o.isDefaultRouter() {
		return nil
	}
	o.routes = nil
	room := minMTU6 - ipv6Header - len(o.RouterAdvertisement(time.Time{}))
	for i, p := range o.Routes {
		if room -= 2 + len(encodeRoute(p)); room < 0 {
			w.add("routes: %d of %d fit into a router advertisement; the guest does not learn of the others", i, len(o.Routes))
			return slices.Clone(o.Routes[:i])
		}
	}
	return slices.Clone(o.Routes)
}
