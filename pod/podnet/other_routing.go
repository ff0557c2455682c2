package podnet

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// OtherRouting is the pod's IPv4 routing that does not lead to the pod interface. The pod's kernel applies it to its own packets, but
// traffic of the guest bypasses it.
type OtherRouting struct {
	Denied []Route  // blackhole, unreachable and prohibit routes of the main table; only Dst, Type and Metric are set
	Routes []string // unicast routes of the main table through other interfaces: "10.88.0.0/16 by interface 3"
	Rules  []string // policy routing rules other than the three that every namespace has
}

// DiscoverOtherRouting reads the routing of the calling thread's network namespace.
func DiscoverOtherRouting(id *Identity) (OtherRouting, error) {
	var e OtherRouting
	routes, err := retryDump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return e, explain("list the routes", err)
	}
	egress := 0 // of a podswitch that runs
	if link, err := netlink.LinkByName(egressDevice(id)); err == nil {
		egress = link.Attrs().Index
	}
	for _, r := range routes {
		if r.LinkIndex != egress || egress == 0 {
			e.addRoute(r, id.Link.Index)
		}
	}
	rules, err := retryDump(func() ([]netlink.Rule, error) { return netlink.RuleList(netlink.FAMILY_V4) })
	if err != nil {
		return e, explain("list the routing rules", err)
	}
	for _, r := range rules {
		if !isDefaultRule(r) {
			e.Rules = append(e.Rules, r.String())
		}
	}
	return e, nil
}

// addRoute adds a route of the main table, unless it leads to link.
func (e *OtherRouting) addRoute(r netlink.Route, link int) {
	destination := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if r.Dst != nil {
		address, _ := netip.AddrFromSlice(r.Dst.IP.To4())
		bits, _ := r.Dst.Mask.Size()
		destination = netip.PrefixFrom(address, bits)
	}
	switch r.Type {
	case unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT:
		e.Denied = append(e.Denied, Route{Dst: destination, Type: uint8(r.Type), Metric: uint32(r.Priority)})
	case unix.RTN_UNICAST:
		if r.LinkIndex != link && r.LinkIndex != 0 {
			e.Routes = append(e.Routes, fmt.Sprintf("%s by interface %d", destination, r.LinkIndex))
		}
	}
}

// isDefaultRule reports whether a rule is one of the three that the kernel adds to a new network namespace (ip-rule(8)). The netlink package
// reports -1 for a rule without the attribute FRA_PRIORITY, which is priority 0.
func isDefaultRule(r netlink.Rule) bool {
	table := map[int]int{-1: unix.RT_TABLE_LOCAL, 0: unix.RT_TABLE_LOCAL, 32766: unix.RT_TABLE_MAIN, 32767: unix.RT_TABLE_DEFAULT}
	want, ok := table[r.Priority]
	return ok && r.Table == want && r.Src == nil && r.Dst == nil && r.Mark == 0 && r.IifName == "" && r.OifName == ""
}
