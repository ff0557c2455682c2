package dhcpsrv

import (
	"encoding/binary"
	"slices"
	"time"
)

// The options of a reply, in order:
//
//  1. 53 and 54; 51, 58 and 59, except in the answer to an INFORM; 61 if the client sent it (RFC 6842).
//  2. If the request has no option 55: all options of the offer except 249. Otherwise the options that the client lists, in its
//     order. The mask (1) is always sent, because a client without it guesses one, and before the router (3) (RFC 2132, section 3.3).
//     Private options (224-254) that the client did not list follow in the order of the offer, as KubeVirt sends them.
//  3. The client's maximum size (option 57, or 576 bytes) bounds the reply. Options are admitted in the order of byImportance; one that
//     does not fit is omitted, and a smaller one after it may still fit.

// The option codes (RFC 2132; 119: RFC 3397; 121: RFC 3442; 224 to 254: for private use by RFC 3942, of which 249 is
// Microsoft's number for 121).
const (
	optPad           uint8 = 0
	optMask          uint8 = 1
	optRouter        uint8 = 3
	optNameServers   uint8 = 6
	optHostName      uint8 = 12
	optDomain        uint8 = 15
	optMTU           uint8 = 26
	optBroadcast     uint8 = 28
	optNTPServers    uint8 = 42
	optRequested     uint8 = 50
	optLeaseTime     uint8 = 51
	optOverload      uint8 = 52
	optMessageType   uint8 = 53
	optServer        uint8 = 54
	optRequestList   uint8 = 55
	optMessage       uint8 = 56
	optMaximumSize   uint8 = 57
	optRenewalTime   uint8 = 58
	optRebindingTime uint8 = 59
	optVendorClass   uint8 = 60
	optClientID      uint8 = 61
	optTFTPServer    uint8 = 66
	optBootFile      uint8 = 67
	optUserClass     uint8 = 77
	optRelayAgent    uint8 = 82
	optArchitecture  uint8 = 93
	optSearch        uint8 = 119
	optRoutes        uint8 = 121
	minPrivate       uint8 = 224
	optMSRoutes      uint8 = 249
	maxPrivate       uint8 = 254
	optEnd           uint8 = 255
)

// byImportance lists the options that may be omitted, the most important one first: what the client needs to move data, then to boot.
// Extra options follow, and then convenient. Other options are always sent.
var byImportance = [...]uint8{
	optRoutes, optMTU, optBootFile, optVendorClass, optTFTPServer, optMSRoutes, optSearch, optDomain, optHostName, optNTPServers,
	224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239,
	240, 241, 242, 243, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254,
}

// convenient lists the least important options: the client computes 58, 59 and 28 itself (RFC 2131, section 4.4.5).
var convenient = [...]uint8{optRenewalTime, optRebindingTime, optBroadcast, optMessage}

// An option is a DHCP option. Its value may need several instances.
type option struct {
	code  uint8
	value []byte
}

// size returns the length of all instances of opt in a message.
func (opt option) size() int {
	instances := (len(opt.value) + maxInstance - 1) / maxInstance
	return len(opt.value) + 2*instances
}

// leaseOptions returns the times of the lease: 51, 58 (T1, half of it) and 59 (T2, seven eighths; RFC 2131, section 4.4.5).
func (x *exchange) leaseOptions() []option {
	preferred := x.leaseTime()
	if left := x.offer.Deprecated.Sub(x.query.Now); left >= time.Second {
		preferred = min(preferred, left)
	}
	return []option{
		{optLeaseTime, seconds(x.leaseTime())},
		{optRenewalTime, seconds(preferred / 2)},
		{optRebindingTime, seconds(preferred / 8 * 7)},
	}
}

// leaseTime returns the duration of a lease that starts now, which is not longer than the remaining lifetime of the address. It is below a
// second, which no option can express, if the address has expired.
func (x *exchange) leaseTime() time.Duration {
	return untilEnd(x.offer.Lease, x.offer.Expires, x.query.Now)
}

// untilEnd returns what is left of a duration that starts now and does not outlast the end, which is never if it is zero.
func untilEnd(d time.Duration, end, now time.Time) time.Duration {
	if end.IsZero() {
		return d
	}
	return min(d, end.Sub(now))
}

// hasExpired reports whether the lifetime of the address has ended.
func (x *exchange) hasExpired() bool { return x.leaseTime() < time.Second }

// seconds encodes a duration, which NewOffer has bounded, as 32 bits of seconds.
func seconds(d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(d/time.Second))
}

// configuration returns the options of the offer for this client, in its order.
func (x *exchange) configuration() []option {
	all := x.allOptions()
	if len(x.request.wants) == 0 {
		routes := find(x.offer.options, optMSRoutes)
		return slices.Delete(all, max(routes, 0), routes+1)
	}
	var chosen []option
	for _, code := range askOrder(x.request.wants) {
		if i := find(all, code); i >= 0 {
			chosen = append(chosen, all[i])
		}
	}
	for _, o := range all {
		if x.isUnasked(o.code) && find(chosen, o.code) < 0 {
			chosen = append(chosen, o)
		}
	}
	return chosen
}

// allOptions returns the options of the offer with those that depend on the client: the boot file, which may be empty, 60 for HTTP Boot
// unless the offer has a value for it, and a wide subnet.
func (x *exchange) allOptions() []option {
	all := slices.Concat(x.offer.options, x.offer.private)
	if i := find(all, optBootFile); i >= 0 {
		all[i].value = []byte(x.bootFile())
	}
	if x.wantsHTTP() && find(all, optVendorClass) < 0 {
		all = append(all, option{optVendorClass, []byte(httpClient)})
	}
	if x.readsRoutes() {
		return all
	}
	for _, o := range x.offer.wide {
		if i := find(all, o.code); i >= 0 {
			all[i] = o
		}
	}
	return all
}

// isUnasked reports whether the option is sent to a client that does not list it: private and extra options, and 60 for HTTP Boot.
func (x *exchange) isUnasked(code uint8) bool {
	return code == optVendorClass || find(x.offer.private, code) >= 0
}

// readsRoutes reports whether the client requests routes. A client without option 55 gets them, but may not read them.
func (x *exchange) readsRoutes() bool {
	return slices.Contains(x.request.wants, optRoutes) || slices.Contains(x.request.wants, optMSRoutes)
}

// find returns the index of the option with the code, or -1.
func find(options []option, code uint8) int {
	return slices.IndexFunc(options, func(o option) bool { return o.code == code })
}

// askOrder returns the codes of a parameter request list without duplicates, with the mask added and before the router.
func askOrder(wants []byte) []uint8 {
	var seen [256]bool
	var order []uint8
	add := func(code uint8) {
		if !seen[code] {
			seen[code] = true
			order = append(order, code)
		}
	}
	if !slices.Contains(wants, optMask) {
		add(optMask)
	}
	for _, code := range wants {
		if code == optRouter {
			add(optMask)
		}
		add(code)
	}
	return order
}

// omitBeyond removes the least important options until the rest is at most room bytes long, and keeps its order. If there is no room for
// all routes, the first ones are as important as all, and further ones take the room that is left at the end.
func (o *Offer) omitBeyond(options []option, room int) []option {
	var keep [256]bool
	for _, opt := range options {
		if isMandatory(opt.code) {
			keep[opt.code] = true
			room -= opt.size()
		}
	}
	for _, code := range slices.Concat(byImportance[:], extraCodes(options), convenient[:]) {
		i := find(options, code)
		if i < 0 || keep[code] {
			continue
		}
		if o.isRoutes(code) && options[i].size() > room {
			options[i].value = o.firstRoutes(room)
		}
		if options[i].size() <= room {
			keep[code] = true
			room -= options[i].size()
		}
	}
	for i, opt := range options {
		if keep[opt.code] && o.isRoutes(opt.code) {
			options[i].value = wholeRoutes(o.routes, room+opt.size())
			room -= options[i].size() - opt.size()
		}
	}
	return slices.DeleteFunc(options, func(opt option) bool { return !keep[opt.code] || len(opt.value) == 0 })
}

// isMandatory reports whether the option is sent however long the others are.
func isMandatory(code uint8) bool {
	return !slices.Contains(byImportance[:], code) && !slices.Contains(convenient[:], code) && !IsExtra(code)
}

// extraCodes returns the codes of the extra options, in order.
func extraCodes(options []option) (codes []uint8) {
	for _, o := range options {
		if IsExtra(o.code) {
			codes = append(codes, o.code)
		}
	}
	return codes
}

// isRoutes reports whether the option has the routes of the offer, and not the value of a private option.
func (o *Offer) isRoutes(code uint8) bool {
	return code == optRoutes || code == optMSRoutes && find(o.private, optMSRoutes) < 0
}

// firstRoutes returns the default route and the route to its gateway, or without a default route as many routes as fit.
func (o *Offer) firstRoutes(room int) []byte {
	if o.first > 0 {
		return o.routes[:o.first]
	}
	return wholeRoutes(o.routes, room)
}
