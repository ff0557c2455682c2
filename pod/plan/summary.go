package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// Summary returns the plan as aligned lines of text, without Changes and Warnings. podswitch plan and run print them.
func (p *Plan) Summary() []string {
	lines := []string{"rule   " + p.Rule, p.podLine()}
	if p.Offer == nil {
		return append(lines, p.guestLine("plain Ethernet: no DHCP from podswitch"))
	}
	lines = append(lines, p.guestLine("sees the router MAC "+p.RouterMAC.String()), "dhcp   offers       "+describe(p.Offer))
	if boot := describeBoot(p.Offer); boot != "" {
		lines = append(lines, "dhcp   also offers  "+boot)
	}
	lines = append(lines, p.serverLine())
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

func (p *Plan) podLine() string {
	id := p.Identity
	gateway, address := "none", "no address"
	if gw, ok := id.Gateway(podnet.IPv4); ok {
		gateway = gw.String()
	}
	if a, ok := id.PodAddress(podnet.IPv4); ok {
		address = a.String()
	}
	mac := "no wire MAC"
	if id.Link.MAC != (podnet.MAC{}) {
		mac = "wire MAC " + id.Link.MAC.String()
	}
	return fmt.Sprintf("pod    %-12s %s  gateway %s  mtu %d  %s", id.Link.Name, address, gateway, id.MTU(podnet.IPv4), mac)
}

func (p *Plan) guestLine(network string) string {
	mac := "any MAC"
	if !p.PinnedMAC.IsZero() {
		mac = "MAC " + p.PinnedMAC.String()
	}
	return fmt.Sprintf("guest  %-12s %s  %s", p.Guest, mac, network)
}

func (p *Plan) serverLine() string {
	line := fmt.Sprintf("server %-12s DHCP", p.Server)
	if len(p.RelayDNS) > 0 {
		line += ", and DNS for " + join(p.RelayDNS)
	}
	return line
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
