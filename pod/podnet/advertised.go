package podnet

import (
	"cmp"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A host on the link can make the kernel add any number of IPv6 routes, by router advertisements with prefixes or routes in them (RFC 4861,
// section 6.3.4; RFC 4191): the kernel has no limit. Following them all would take the keeper seconds for each change, in which it serves no
// switch. An identity therefore has a few of them; the kernel keeps them anyway, so that none has to be restored.

// MaxAdvertised is the most IPv6 routes of router advertisements that an Identity has.
const MaxAdvertised = 64

// isAdvertised reports whether the kernel has made the route from a router advertisement. It gives those to a prefix on the link the protocol
// of the prefix routes of its addresses (addrconf_prefix_rcv in net/ipv6/addrconf.c). The prefix route of an address that stays counts, too,
// unless it is link-local.
func (r Route) isAdvertised(addresses []Address) bool {
	switch {
	case r.family() != IPv6 || r.Table == unix.RT_TABLE_LOCAL:
		return false
	case r.Protocol == unix.RTPROT_RA:
		return true
	}
	return r.Protocol == unix.RTPROT_KERNEL && !r.Dst.Addr().IsLinkLocalUnicast() && !isPrefixRoute(r, addresses)
}

// A routeDump collects the messages of a dump of routes, and keeps MaxAdvertised of those that come from router advertisements on a link:
// the last ones, because the kernel lists a default route behind all others.
type routeDump struct {
	family    Family
	index     int // of the link
	addresses []Address

	count      int
	advertised []routeMessage // a ring of those on the link
	others     []routeMessage
	isMore     bool // some of the advertised ones are left out
}

type routeMessage struct {
	number int // in the order of the kernel
	data   []byte
}

// add is called for each message. Advertised routes of other links do not matter.
func (d *routeDump) add(data []byte) {
	m := routeMessage{d.count, data}
	d.count++
	if d.family != IPv6 || len(data) < unix.SizeofRtMsg {
		d.others = append(d.others, m)
		return
	}
	switch r, _ := decodeRoute(d.family, data); {
	case !r.isAdvertised(d.addresses):
		d.others = append(d.others, m)
	case !r.leavesThrough(d.index):
	case len(d.advertised) < MaxAdvertised:
		d.advertised = append(d.advertised, m)
	default:
		d.isMore = true
		copy(d.advertised, d.advertised[1:])
		d.advertised[MaxAdvertised-1] = m
	}
}

// messages returns what was kept, in the order of the kernel.
func (d *routeDump) messages() (list [][]byte) {
	all := append(d.others, d.advertised...)
	slices.SortFunc(all, func(a, b routeMessage) int { return cmp.Compare(a.number, b.number) })
	for _, m := range all {
		list = append(list, m.data)
	}
	return list
}

// dumpRoutes lists the routes of a family, without advertised ones of the link beyond MaxAdvertised, and reports whether there are such.
func (c *rtnetlink) dumpRoutes(f Family, index int, addresses []Address) (list [][]byte, isMore bool, err error) {
	list, err = retryDump(func() ([][]byte, error) {
		d := routeDump{family: f, index: index, addresses: addresses}
		header := []nl.NetlinkRequestData{&nl.RtMsg{RtMsg: unix.RtMsg{Family: f.number()}}}
		err := c.request(unix.RTM_GETROUTE, unix.NLM_F_DUMP, header).ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(data []byte) bool {
			d.add(data)
			return true
		})
		isMore = d.isMore
		return d.messages(), err
	})
	return list, isMore, err
}
