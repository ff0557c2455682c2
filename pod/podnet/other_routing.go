package podnet

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// OtherRouting is the pod's routing that does not lead to the pod interface. The pod's kernel applies it to its own packets, but
// traffic of the guest bypasses it.
type OtherRouting struct {
	Denied []Route  // blackhole, unreachable and prohibit routes of the main table; only Dst, Type and Metric are set
	Routes []string // unicast routes of the main table through other interfaces: "10.88.0.0/16 by interface 3"
	Rules  []string // policy routing rules other than the three that every namespace has

	IPv6Disabled bool // the pod interface has no IPv6 (net.ipv6.conf.NAME.disable_ipv6)
	IPv6Forwards bool // the pod's kernel forwards IPv6 packets that the interface receives
}

// DiscoverOtherRouting reads the routing of the calling thread's network namespace, for the families of the identity.
func DiscoverOtherRouting(id *Identity) (OtherRouting, error) {
	var e OtherRouting
	for _, f := range id.families {
		if err := e.read(f, id); err != nil {
			return e, err
		}
	}
	e.IPv6Disabled = isSysctlOn(id.Link.Name, "disable_ipv6")
	e.IPv6Forwards = isSysctlOn(id.Link.Name, "forwarding")
	return e, nil
}

// isSysctlOn reports whether a setting of the link's IPv6 is not 0. A kernel without IPv6, and a link whose MTU is too small for it, have none.
func isSysctlOn(link, name string) bool {
	text, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", link, name))
	return err == nil && strings.TrimSpace(string(text)) != "0"
}

// read adds the routing of a family, except the routes that lead to the pod interface.
func (e *OtherRouting) read(f Family, id *Identity) error {
	routes, err := retryDump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(int(f.number()), &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return explain("list the routes", err)
	}
	egress := 0 // of a podswitch that runs
	if link, err := netlink.LinkByName(egressDevice(id)); err == nil {
		egress = link.Attrs().Index
	}
	for _, r := range routes {
		if r.LinkIndex != egress || egress == 0 {
			e.addRoute(f, r, id.Link.Index)
		}
	}
	rules, err := retryDump(func() ([]netlink.Rule, error) { return netlink.RuleList(int(f.number())) })
	if err != nil {
		return explain("list the routing rules", err)
	}
	for _, r := range rules {
		if !isDefaultRule(r) {
			e.Rules = append(e.Rules, r.String())
		}
	}
	return nil
}

// addRoute adds a route of the main table, unless it leads to link.
func (e *OtherRouting) addRoute(f Family, r netlink.Route, link int) {
	destination := f.everywhere()
	if r.Dst != nil {
		address, _ := netip.AddrFromSlice(r.Dst.IP)
		bits, _ := r.Dst.Mask.Size()
		destination = netip.PrefixFrom(address.Unmap(), bits)
	}
	switch r.Type {
	case unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT:
		e.Denied = append(e.Denied, Route{Dst: destination, Type: uint8(r.Type), Metric: uint32(r.Priority)})
	case unix.RTN_UNICAST:
		if r.LinkIndex != link && r.LinkIndex != 0 && !(f == IPv6 && destination.Addr().IsLinkLocalUnicast()) { // each interface has fe80::/64
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
