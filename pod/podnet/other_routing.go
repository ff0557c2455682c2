package podnet

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// OtherRouting is what the pod's kernel would do with packets of its own that has nothing to do with the pod interface: the guest's
// traffic does not pass there.
type OtherRouting struct {
	Denied []Route  // routes of the main table that say "nowhere" (blackhole, unreachable, prohibit), their Dst, Type and Metric alone
	Routes []string // unicast routes of the main table by other interfaces, as the ip command writes them
	Rules  []string // policy routing rules beside the three that every namespace has
}

// DiscoverOtherRouting reads it.
func DiscoverOtherRouting(id *Identity) (OtherRouting, error) {
	var e OtherRouting
	routes, err := retryDump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return e, explain("list the routes", err)
	}
	for _, r := range routes {
		e.addRoute(r, id.Link.Index)
	}
	rules, err := retryDump(func() ([]netlink.Rule, error) { return netlink.RuleList(netlink.FAMILY_V4) })
	if err != nil {
		return e, explain("list the routing rules", err)
	}
	for _, r := range rules {
		if !isOrdinary(r) {
			e.Rules = append(e.Rules, r.String())
		}
	}
	return e, nil
}

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

// isOrdinary tells whether a rule is one of the three that every network namespace begins with (ip-rule(8)).
func isOrdinary(r netlink.Rule) bool {
	table := map[int]int{-1: unix.RT_TABLE_LOCAL, 0: unix.RT_TABLE_LOCAL, 32766: unix.RT_TABLE_MAIN, 32767: unix.RT_TABLE_DEFAULT}
	want, ok := table[r.Priority]
	return ok && r.Table == want && r.Src == nil && r.Dst == nil && r.Mark == 0 && r.IifName == "" && r.OifName == ""
}
