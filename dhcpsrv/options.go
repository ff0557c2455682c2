package dhcpsrv

import (
	"encoding/binary"
	"slices"
	"time"
)

// Which options a reply carries, and in which order.
//
//  1. 53 and 54, then 51, 58 and 59 unless the client only informs, then 61 if the client sent it (RFC 6842).
//  2. Without option 55: all that the offer has, but not 249. With it: what the client lists, in its order. The mask (1)
//     comes in any case, or the guest would guess it, and before the router (3) (RFC 2132, section 3.3). Private options
//     (224-254) that were not listed follow in the document's order: KubeVirt's guests get them unasked.
//  3. The client's size (option 57, or 576 bytes) bounds the reply. Options get room in the order of importance below;
//     one that no longer fits is left out, and smaller ones behind it may still come.

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
	optLeaseTime     uint8 = 51
	optMessageType   uint8 = 53
	optServer        uint8 = 54
	optMessage       uint8 = 56
	optRenewalTime   uint8 = 58
	optRebindingTime uint8 = 59
	optClientID      uint8 = 61
	optTFTPServer    uint8 = 66
	optBootFile      uint8 = 67
	optSearch        uint8 = 119
	optRoutes        uint8 = 121
	minPrivate       uint8 = 224
	optMSRoutes      uint8 = 249
	maxPrivate       uint8 = 254
	optEnd           uint8 = 255
)

// byImportance lists the options that a reply can do without, the one to keep longest first. What a guest boots from
// stands behind what it needs to move data. The last four cost a client nothing but comfort: it computes 58, 59 and 28
// itself (RFC 2131, section 4.4.5). Options that are not listed are always sent.
var byImportance = [...]uint8{
	optRoutes, optMTU, optBootFile, optTFTPServer, optMSRoutes, optSearch, optDomain, optHostName, optNTPServers,
	224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239,
	240, 241, 242, 243, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254,
	optRenewalTime, optRebindingTime, optBroadcast, optMessage,
}

// An option is one DHCP option with its value, which may be longer than one instance can hold.
type option struct {
	code  uint8
	value []byte
}

// size returns the bytes of o in a message, all instances together.
func (o option) size() int {
	instances := (len(o.value) + maxInstance - 1) / maxInstance
	return len(o.value) + 2*instances
}

// leaseOptions are the times of the lease: 51, 58 (half of it) and 59 (seven eighths).
func (x *exchange) leaseOptions() []option {
	lease := x.offer.Lease
	return []option{
		{optLeaseTime, seconds(lease)},
		{optRenewalTime, seconds(lease / 2)},
		{optRebindingTime, seconds(lease / 8 * 7)},
	}
}

// seconds encodes a duration as the 32 bits of options 51, 58 and 59. NewOffer has bounded it.
func seconds(d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(d/time.Second))
}

// configuration returns the options of the offer that this client gets, in its order.
func (x *exchange) configuration() []option {
	all := slices.Concat(x.offer.options, x.offer.private)
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
	for _, o := range x.offer.private {
		if find(chosen, o.code) < 0 {
			chosen = append(chosen, o)
		}
	}
	return chosen
}

// find returns the index of the option with the code, or -1.
func find(options []option, code uint8) int {
	return slices.IndexFunc(options, func(o option) bool { return o.code == code })
}

// askOrder returns the codes of a parameter request list, each once, with the mask added and before the router.
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

// fit leaves out what makes the options longer than room bytes, and keeps the order of the rest.
func fit(options []option, room int) []option {
	var keep [256]bool
	for _, o := range options {
		if !slices.Contains(byImportance[:], o.code) {
			keep[o.code] = true
			room -= o.size()
		}
	}
	for _, code := range byImportance {
		if i := find(options, code); i >= 0 && options[i].size() <= room {
			keep[code] = true
			room -= options[i].size()
		}
	}
	return slices.DeleteFunc(options, func(o option) bool { return !keep[o.code] })
}
