package podnet

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// rtaNextHopID is RTA_NH_ID (linux/rtnetlink.h), which golang.org/x/sys/unix lacks.
const rtaNextHopID = 30

// userHz is the unit of times in some messages, in hertz (USER_HZ of the kernel).
const userHz = 100

// nextHopFlags are the flags of a next hop that a request may set. The kernel computes the others (dead, link down, offloaded).
const nextHopFlags = unix.RTNH_F_ONLINK | unix.RTNH_F_PERVASIVE

// routes lists the routes of a family that depend on a link or on its addresses (Route says which), in the kernel's order, with MaxAdvertised
// advertised ones at most.
func (c *rtnetlink) routes(f Family, index int, addresses []Address) ([]Route, error) {
	list, _, err := c.boundedRoutes(f, index, addresses)
	return list, err
}

// boundedRoutes is routes, and reports whether there are more advertised ones.
func (c *rtnetlink) boundedRoutes(f Family, index int, addresses []Address) (list []Route, isMore bool, err error) {
	messages, isMore, err := c.dumpRoutes(f, index, addresses)
	if err != nil {
		return nil, false, explain("list the routes", err)
	}
	foreign := map[routeSlot]bool{} // slots that a foreign route is in, from the end of the list
	for _, m := range slices.Backward(messages) {
		if len(m) < unix.SizeofRtMsg || m[0] != f.number() || nl.DeserializeRtMsg(m).Flags&unix.RTM_F_CLONED != 0 {
			continue
		}
		r, err := decodeRoute(f, m)
		if !r.dependsOn(index, addresses) {
			foreign[r.slot()] = true
			continue
		}
		if err != nil {
			return nil, false, err
		}
		r.BeforeOthers = foreign[r.slot()]
		list = append(list, r)
	}
	slices.Reverse(list)
	return list, isMore, nil
}

// rivals lists the routes of IPv6 that are in the slots of others, in the kernel's order, by slot. They have the attributes that a Route has.
func (c *rtnetlink) rivals(others []Route) (map[routeSlot][]Route, error) {
	wanted := bySlot(others)
	slots, err := retryDump(func() ([]map[routeSlot][]Route, error) {
		found := map[routeSlot][]Route{}
		header := []nl.NetlinkRequestData{&nl.RtMsg{RtMsg: unix.RtMsg{Family: IPv6.number()}}}
		err := c.request(unix.RTM_GETROUTE, unix.NLM_F_DUMP, header).ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(m []byte) bool {
			if len(m) < unix.SizeofRtMsg || m[0] != IPv6.number() || nl.DeserializeRtMsg(m).Flags&unix.RTM_F_CLONED != 0 {
				return true
			}
			if r, _ := decodeRoute(IPv6, m); len(wanted[r.slot()]) > 0 {
				found[r.slot()] = append(found[r.slot()], r)
			}
			return true
		})
		return []map[routeSlot][]Route{found}, err
	})
	if err != nil {
		return nil, explain("list the routes", err)
	}
	return slots[0], nil
}

// dependsOn reports whether the kernel drops the route with the addresses of the link.
func (r Route) dependsOn(index int, addresses []Address) bool {
	if r.Table == unix.RT_TABLE_LOCAL && r.Protocol == unix.RTPROT_KERNEL {
		return false
	}
	return r.leavesThrough(index) || slices.ContainsFunc(addresses, func(a Address) bool { return a.Prefix.Addr() == r.Source })
}

// decodeRoute returns an error for an attribute that encode could not write. The route then has all other attributes, so that the caller
// can see whether it needs the route.
func decodeRoute(f Family, message []byte) (Route, error) {
	h := nl.DeserializeRtMsg(message)
	r := Route{
		Table: uint32(h.Table), Type: h.Type, Scope: h.Scope, Protocol: h.Protocol, TOS: h.Tos,
		Dst: netip.PrefixFrom(f.everywhere().Addr(), int(h.Dst_len)),
	}
	hop := NextHop{Flags: h.Flags & nextHopFlags}
	err := visitAttributes(message, unix.SizeofRtMsg, func(kind uint16, value []byte) error {
		switch kind {
		case unix.RTA_DST:
			r.Dst = netip.PrefixFrom(addr(value), int(h.Dst_len))
		case unix.RTA_TABLE:
			r.Table = u32(value)
		case unix.RTA_PRIORITY:
			r.Metric = u32(value)
		case unix.RTA_PREFSRC:
			r.Source = addr(value)
		case unix.RTA_METRICS:
			return r.decodeMetrics(value)
		case unix.RTA_MULTIPATH:
			return r.decodeNextHops(value)
		case unix.RTA_PREF:
			r.Preference = u8(value)
		case unix.RTA_CACHEINFO: // struct rta_cacheinfo: clients, last use, and the expiry of IPv6 in hundredths of a second
			if f == IPv6 && len(value) >= 12 {
				r.Expires = u32(value[8:]) / userHz
			}
		default:
			return hop.decode(r.Dst, kind, value)
		}
		return nil
	})
	r.Link, r.Gateway, r.Flags, r.Realm = hop.Link, hop.Gateway, hop.Flags, hop.Realm
	return r, err
}

// decode stores one attribute of a next hop towards dst.
func (h *NextHop) decode(dst netip.Prefix, kind uint16, value []byte) error {
	switch kind {
	case unix.RTA_OIF:
		h.Link = int(u32(value))
	case unix.RTA_GATEWAY:
		h.Gateway = addr(value)
	case unix.RTA_VIA: // struct rtvia: family, address
		if len(value) > 2 {
			h.Gateway = addr(value[2:])
		}
	case unix.RTA_FLOW:
		h.Realm = u32(value)
	default:
		return foreignAttribute(dst, kind)
	}
	return nil
}

func (r *Route) decodeNextHops(value []byte) error {
	var first error
	for len(value) > 0 {
		if len(value) < unix.SizeofRtNexthop {
			return fmt.Errorf("route %v ends within a next hop", r.Dst)
		}
		header := nl.DeserializeRtNexthop(value)
		length := int(header.RtNexthop.Len)
		if length < unix.SizeofRtNexthop || length > len(value) {
			return fmt.Errorf("route %v has a next hop of %d bytes", r.Dst, length)
		}
		hop := NextHop{Link: int(header.Ifindex), Weight: int(header.Hops) + 1, Flags: uint32(header.Flags) & nextHopFlags}
		err := visitAttributes(value[:length], unix.SizeofRtNexthop, func(kind uint16, value []byte) error {
			return hop.decode(r.Dst, kind, value)
		})
		r.NextHops = append(r.NextHops, hop)
		first = cmp.Or(first, err)
		value = value[min(len(value), (length+3)&^3):] // RTNH_ALIGN: four bytes
	}
	return first
}

// foreignAttribute returns the error for an attribute that a Route has no field for.
func foreignAttribute(dst netip.Prefix, kind uint16) error {
	attribute := fmt.Sprintf("attribute %d", kind)
	switch kind {
	case unix.RTA_ENCAP, unix.RTA_ENCAP_TYPE:
		attribute = "an encapsulation (encap)"
	case rtaNextHopID:
		attribute = "a next hop object (nhid)"
	}
	return notRestorable("restore the route "+dst.String(), attribute)
}

// encode returns the parts of a message that adds or removes the route.
func (r Route) encode() []nl.NetlinkRequestData {
	header := &nl.RtMsg{RtMsg: unix.RtMsg{
		Family: r.family().number(), Dst_len: uint8(r.Dst.Bits()), Tos: r.TOS,
		Protocol: r.Protocol, Scope: r.Scope, Type: r.Type, Flags: r.Flags,
	}}
	parts := []nl.NetlinkRequestData{header, nl.NewRtAttr(unix.RTA_TABLE, nl.Uint32Attr(r.Table))}
	if r.Dst.Bits() > 0 {
		parts = append(parts, nl.NewRtAttr(unix.RTA_DST, r.Dst.Addr().AsSlice()))
	}
	if r.Metric != 0 {
		parts = append(parts, nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(r.Metric)))
	}
	if r.Source.IsValid() {
		parts = append(parts, nl.NewRtAttr(unix.RTA_PREFSRC, r.Source.AsSlice()))
	}
	if metrics := r.encodeMetrics(); metrics != nil {
		parts = append(parts, metrics)
	}
	if r.Preference != 0 {
		parts = append(parts, nl.NewRtAttr(unix.RTA_PREF, []byte{r.Preference}))
	}
	if r.Expires != 0 {
		parts = append(parts, nl.NewRtAttr(unix.RTA_EXPIRES, nl.Uint32Attr(r.Expires)))
	}
	if len(r.NextHops) > 0 {
		return append(parts, r.encodeNextHops())
	}
	if r.Link != 0 {
		parts = append(parts, nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(r.Link))))
	}
	return append(parts, r.nextHops()[0].encode(r.family())...)
}

// encode returns the attributes of a next hop of a route of the family, other than its link.
func (h NextHop) encode(f Family) []nl.NetlinkRequestData {
	var parts []nl.NetlinkRequestData
	if h.Gateway.IsValid() && FamilyOf(h.Gateway) == f {
		parts = append(parts, nl.NewRtAttr(unix.RTA_GATEWAY, h.Gateway.AsSlice()))
	} else if h.Gateway.IsValid() {
		via := binary.NativeEndian.AppendUint16(nil, unix.AF_INET6)
		parts = append(parts, nl.NewRtAttr(unix.RTA_VIA, append(via, h.Gateway.AsSlice()...)))
	}
	if h.Realm != 0 {
		parts = append(parts, nl.NewRtAttr(unix.RTA_FLOW, nl.Uint32Attr(h.Realm)))
	}
	return parts
}

func (r Route) encodeNextHops() *nl.RtAttr {
	var all []byte
	for _, h := range r.NextHops {
		entry := nl.RtNexthop{
			RtNexthop: unix.RtNexthop{Hops: uint8(h.Weight - 1), Ifindex: int32(h.Link), Flags: uint8(h.Flags)},
			Children:  h.encode(r.family()),
		}
		all = append(all, entry.Serialize()...)
	}
	return nl.NewRtAttr(unix.RTA_MULTIPATH, all)
}

// addRoute adds a route of IPv4 as the first or the last of its slot (fib_table_insert in net/ipv4/fib_trie.c), or one of IPv6 as the last. A route that
// exists is not an error.
func (c *rtnetlink) addRoute(r Route, first bool) error {
	flags := unix.NLM_F_CREATE
	if !first {
		flags |= unix.NLM_F_APPEND
	}
	err := c.do(unix.RTM_NEWROUTE, flags, r.encode())
	if isErrno(err, unix.EEXIST) {
		return nil
	}
	return explain("add route "+r.String(), err)
}

// replaceRoute adds an IPv6 route, in place of the first one in its slot for which canShare is the same, if there is one (fib6_add_rt2node in
// net/ipv6/ip6_fib.c).
func (c *rtnetlink) replaceRoute(r Route) error {
	return explain("add route "+r.String(), c.do(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, r.encode()))
}

// isLocal reports whether the kernel receives packets for an IPv6 address.
func (c *rtnetlink) isLocal(a netip.Addr) (bool, error) {
	parts := []nl.NetlinkRequestData{&nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET6, Dst_len: 128}}, nl.NewRtAttr(unix.RTA_DST, a.AsSlice())}
	answer, err := c.request(unix.RTM_GETROUTE, 0, parts).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	if isErrno(err, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL) { // another kind of route
		return false, nil
	}
	return err == nil && len(answer) > 0 && nl.DeserializeRtMsg(answer[0]).Type == unix.RTN_LOCAL, explain("look up "+a.String(), err)
}

// removeRoute removes a route. A route that does not exist is not an error.
func (c *rtnetlink) removeRoute(r Route) error {
	err := c.do(unix.RTM_DELROUTE, 0, r.encode())
	if isErrno(err, unix.ESRCH) {
		return nil
	}
	return explain("remove route "+r.String(), err)
}
