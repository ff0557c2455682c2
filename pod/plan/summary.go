package plan

import (
	"fmt"
	"strings"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/vswitch"
)

// Summary returns the plan as aligned lines of text, without Changes and Warnings. podswitch plan and run print them.
func (p *Plan) Summary() []string {
	id := p.Identity
	gateway := "none"
	if gw, ok := id.Gateway(); ok {
		gateway = gw.String()
	}
	address := "no address"
	if a, ok := id.PodAddress(); ok {
		address = a.String()
	}
	mac := "any MAC"
	if !p.GuestMAC.IsZero() {
		mac = "MAC " + p.GuestMAC.String()
	}
	lines := []string{
		fmt.Sprintf("rule   %s", p.Rule),
		fmt.Sprintf("pod    %-12s %s  gateway %s  mtu %d  wire MAC %s", id.Link.Name, address, gateway, id.MTU(), id.Link.MAC),
	}
	if p.Offer == nil {
		return append(lines, fmt.Sprintf("guest  %-12s %s  plain Ethernet: no DHCP from podswitch", p.Guest, mac))
	}
	lines = append(lines,
		fmt.Sprintf("guest  %-12s %s  sees the router MAC %s", p.Guest, mac, p.RouterMAC),
		fmt.Sprintf("dhcp   offers       %s", describe(p.Offer)))
	if extra := describeBoot(p.Offer); extra != "" {
		lines = append(lines, "dhcp   also offers  "+extra)
	}
	lines = append(lines,
		fmt.Sprintf("server %-12s DHCP%s", p.Server, map[bool]string{true: ", and DNS for " + join(p.RelayDNS)}[len(p.RelayDNS) > 0]))
	for _, f := range p.Found {
		lines = append(lines, "found  "+f)
	}
	for _, r := range p.Rules {
		verb := "deny   "
		if r.Allow {
			verb = "allow  "
		}
		lines = append(lines, verb+describeRule(r))
	}
	for _, k := range p.KeptPorts {
		lines = append(lines, fmt.Sprintf("keep   tcp/%-8d to %s", k.Port, k.Target))
	}
	return lines
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
	return strings.Join(append(parts, "lease "+o.Lease.String()), "  ")
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
	for _, private := range o.Private {
		parts = append(parts, fmt.Sprintf("option %d %q", private.Code, private.Value))
	}
	return strings.Join(parts, "  ")
}

func join[T any](list []T) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = fmt.Sprint(v)
	}
	return strings.Join(texts, ",")
}

// describeRule returns the destination of a rule.
func describeRule(r vswitch.Rule) string {
	text := r.Destination.String()
	if r.Port != 0 {
		text += fmt.Sprintf(" %sport %d", map[uint8]string{6: "tcp ", 17: "udp "}[r.Protocol], r.Port)
	}
	return text
}
