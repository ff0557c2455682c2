package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// Summary returns the plan as aligned lines of text, without Changes and Warnings. podswitch plan and run print them.
func (p *Plan) Summary() []string {
	lines := append([]string{"rule   " + p.Rule}, p.podLines()...)
	if !p.Delegates() {
		return append(lines, p.guestLine("plain Ethernet: no DHCP from podswitch"))
	}
	lines = append(lines, p.guestLine("sees the router MAC "+p.RouterMAC.String()))
	if p.Offer != nil {
		lines = append(lines, "dhcp   offers       "+describe(p.Offer))
		if boot := describeBoot(p.Offer); boot != "" {
			lines = append(lines, "dhcp   also offers  "+boot)
		}
	}
	if p.OfferIPv6 != nil {
		lines = append(lines, "ra     tells        "+describeAdvertisement(p.OfferIPv6), "dhcp6  offers       "+describeIPv6(p.OfferIPv6))
		if boot := describeBootIPv6(p.OfferIPv6); boot != "" {
			lines = append(lines, "dhcp6  also offers  "+boot)
		}
	}
	lines = append(lines, p.serverLines()...)
	for _, f := range p.Found {
		lines = append(lines, "found  "+f)
	}
	for _, r := range p.Rules {
		lines = append(lines, DescribeRule(r))
	}
	for _, k := range p.KeptPorts {
		lines = append(lines, fmt.Sprintf("keep   %-12s to %s%s", k.Name(), k.Target, describeOptions(k)))
	}
	return lines
}

func describeOptions(k KeptPort) (text string) {
	if k.Direct {
		return "the pod's processes at the port, from the client's address"
	}
	if k.Source.IsValid() {
		text = " from " + k.Source.String()
	}
	if k.Proxy {
		text += ", with a PROXY header"
	}
	return text
}

// podLines returns a line for each family that the pod has, at least one.
func (p *Plan) podLines() (lines []string) {
	id := p.Identity
	mac := "no wire MAC"
	if id.Link.MAC != (podnet.MAC{}) {
		mac = "wire MAC " + id.Link.MAC.String()
	}
	for _, f := range []podnet.Family{podnet.IPv4, podnet.IPv6} {
		a, ok := id.PodAddress(f)
		if !ok {
			continue
		}
		gateway := "none"
		if gw, ok := id.Gateway(f); ok {
			gateway = gw.String()
		}
		lines = append(lines, fmt.Sprintf("pod    %-12s %s  gateway %s  mtu %d  %s", id.Link.Name, a, gateway, id.MTU(f), mac))
	}
	if lines == nil {
		lines = append(lines, fmt.Sprintf("pod    %-12s no address  gateway none  mtu %d  %s", id.Link.Name, id.Link.MTU, mac))
	}
	return lines
}

func (p *Plan) guestLine(network string) string {
	mac := "any MAC"
	if !p.PinnedMAC.IsZero() {
		mac = "MAC " + p.PinnedMAC.String()
	}
	return fmt.Sprintf("guest  %-12s %s  %s", p.Guest, mac, network)
}

// serverLines returns a line for each family.
func (p *Plan) serverLines() (lines []string) {
	relay := ""
	if len(p.RelayDNS) > 0 {
		relay = ", and DNS for " + join(p.RelayDNS)
	}
	if p.Offer != nil {
		lines = append(lines, fmt.Sprintf("server %-12s DHCP%s", p.Server, relay))
	}
	if p.OfferIPv6 != nil {
		lines = append(lines, fmt.Sprintf("server %-12s DHCPv6%s", p.OfferIPv6.Router(), relay))
	}
	return lines
}

// describeAdvertisement returns what router advertisements tell, in one line.
func describeAdvertisement(o *dhcpsrv.Offer6) string {
	parts := []string{"router " + o.Router().String(), fmt.Sprintf("mtu %d", o.MTU)}
	if !slices.ContainsFunc(o.Routes, func(r netip.Prefix) bool { return r.Bits() == 0 }) {
		parts[0] = "no default router, routes by " + o.Router().String()
	}
	return strings.Join(append(parts, describeResolver(o)...), "  ")
}

// describeIPv6 returns the main options of DHCPv6 in one line.
func describeIPv6(o *dhcpsrv.Offer6) string {
	parts := append([]string{o.Address.String()}, describeResolver(o)...)
	lease := "lease " + o.Lease.String()
	if !o.Expires.IsZero() {
		lease += " until " + o.Expires.UTC().Format(time.RFC3339)
	}
	return strings.Join(append(parts, lease), "  ")
}

// describeBootIPv6 is describeBoot for DHCPv6, with the URLs that clients get.
func describeBootIPv6(o *dhcpsrv.Offer6) string {
	var parts []string
	url, ofFiles := o.BootURLs()
	if url != "" {
		parts = append(parts, fmt.Sprintf("boot file %q", url))
	}
	if len(o.NTPServers) > 0 {
		parts = append(parts, "ntp "+join(o.NTPServers))
	}
	for i, file := range o.BootFiles {
		if file.Name = ofFiles[i]; file.Name != "" {
			parts = append(parts, describeBootFile(file))
		}
	}
	for _, parameter := range o.BootParameters {
		parts = append(parts, fmt.Sprintf("boot parameter %q", parameter))
	}
	return strings.Join(parts, "  ")
}

func describeResolver(o *dhcpsrv.Offer6) (parts []string) {
	if len(o.NameServers) > 0 {
		parts = append(parts, "dns "+join(o.NameServers))
	}
	if len(o.Search) > 0 {
		parts = append(parts, "search "+join(o.Search))
	}
	return parts
}

// describe returns the main options of an offer in one line.
func describe(o *dhcpsrv.Offer) string {
	parts := []string{o.Address.String()}
	if o.Gateway.IsValid() {
		parts = append(parts, "gateway "+o.Gateway.String())
	}
	parts = append(parts, fmt.Sprintf("mtu %d", o.MTU))
	if len(o.NameServers) > 0 {
		parts = append(parts, "dns "+join(o.NameServers))
	}
	if len(o.Search) > 0 {
		parts = append(parts, "search "+join(o.Search))
	}
	if o.HostName != "" {
		parts = append(parts, "host name "+o.HostName)
	}
	lease := "lease " + o.Lease.String()
	if !o.Expires.IsZero() {
		lease += " until " + o.Expires.UTC().Format(time.RFC3339)
	}
	return strings.Join(append(parts, lease), "  ")
}

// describeBoot returns the options that only the VM document can set, in one line, or "" if it sets none. It quotes texts, which may
// contain any character.
func describeBoot(o *dhcpsrv.Offer) string {
	var parts []string
	if o.BootFileName != "" {
		parts = append(parts, fmt.Sprintf("boot file %q", o.BootFileName))
	}
	if o.TFTPServerName != "" {
		parts = append(parts, fmt.Sprintf("tftp server %q", o.TFTPServerName))
	}
	if len(o.NTPServers) > 0 {
		parts = append(parts, "ntp "+join(o.NTPServers))
	}
	for _, file := range o.BootFiles {
		parts = append(parts, describeBootFile(file))
	}
	for _, extra := range o.Extra {
		parts = append(parts, fmt.Sprintf("option %d %q", extra.Code, extra.Value))
	}
	for _, private := range o.Private {
		parts = append(parts, fmt.Sprintf("option %d %q", private.Code, private.Value))
	}
	return strings.Join(parts, "  ")
}

func describeBootFile(f dhcpsrv.BootFile) string {
	var clients []string
	if f.UserClass != "" {
		clients = append(clients, fmt.Sprintf("user class %q", f.UserClass))
	}
	if f.Architecture != nil {
		clients = append(clients, fmt.Sprintf("architecture %d", *f.Architecture))
	}
	return fmt.Sprintf("boot file %q for %s", f.Name, strings.Join(clients, " and "))
}

func join[T any](list []T) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = fmt.Sprint(v)
	}
	return strings.Join(texts, ",")
}

// DescribeRule returns a rule as a line of text.
func DescribeRule(r vswitch.Rule) string {
	verb := "deny"
	if r.Allow {
		verb = "allow"
	}
	line := fmt.Sprintf("%-6s %s", verb, r.Destination)
	if r.Port != 0 {
		line += fmt.Sprintf(" %sport %d", map[uint8]string{6: "tcp ", 17: "udp "}[r.Protocol], r.Port)
	}
	return line
}
