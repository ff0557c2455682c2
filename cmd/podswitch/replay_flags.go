package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vswitch"
)

// replayFlags are the flags of replay. They describe the switch and the ports at which frames enter.
type replayFlags struct {
	plan       string
	bridge     bool
	addresses  []netip.Prefix
	gateways   []netip.Addr
	mtu        int
	wireMAC    vswitch.MAC
	routerMAC  vswitch.MAC
	guestMAC   vswitch.MAC
	routes     []replayRoute
	keep       []plan.KeptPort
	deny       []plan.DenyRule
	neighbours []replayNeighbour
	holder     *choice
	in         *choice
}

// MTUs in bytes.
const (
	defaultMTU     = 1500
	minMTU, maxMTU = 68, 65535 // RFC 791, section 3.2, and the field for the length of a packet
	minMTUIPv6     = 1280      // RFC 8200, section 5
)

func (f *replayFlags) add(c *cobra.Command) {
	f.routerMAC = vswitch.MAC{2, 0, 0, 0, 0, 0xfe}
	flags := c.Flags()
	flags.StringVar(&f.plan, "plan", "", "Use the switch of a plan; `FILE` is the output of podswitch plan -o json")
	flags.BoolVar(&f.bridge, "bridge", false, "Use a plain learning switch with the ports guest and uplink")
	flags.Var(&parsedList[netip.Prefix]{&f.addresses, "CIDR", parsePodAddress}, "address", "Use a switch in IP mode with this pod address and prefix length, IPv4 or IPv6; repeatable: one of each")
	flags.Var(&parsedList[netip.Addr]{&f.gateways, "IP", parseGateway}, "gateway", "With --address: gateway; repeatable (default: the first address of the subnet)")
	flags.IntVar(&f.mtu, "mtu", defaultMTU, "With --address or --bridge: MTU in `BYTES`")
	flags.Var(&parsed[vswitch.MAC]{&f.wireMAC, "", "MAC", parseGuestMAC}, "wire-mac", "With --address: MAC of the pod interface (default: 0a:58 followed by the last four bytes of the address)")
	flags.Var(&parsed[vswitch.MAC]{&f.routerMAC, f.routerMAC.String(), "MAC", parseGuestMAC}, "router-mac", "With --address: router MAC, the only MAC besides its own that the guest sees")
	flags.Var(&parsedList[replayRoute]{&f.routes, "CIDR[,GATEWAY]", parseRoute}, "route",
		"With --address: route of the pod; repeatable (default: for each address the subnet, and a default route via the gateway)")
	flags.Var(&parsedList[plan.KeptPort]{&f.keep, "tcp/PORT or udp/PORT", plan.ParseKeptPort}, "keep", "With --address: port of the pod address that stays with the pod; repeatable")
	flags.Var(&parsedList[plan.DenyRule]{&f.deny, "CIDR[:PORT]", plan.ParseDenyRule}, "deny", "With --address: destination that the guest may not reach; repeatable")
	flags.Var(&parsedList[replayNeighbour]{&f.neighbours, "IP,MAC", parseNeighbour}, "neighbour",
		"MAC of a next hop on the wire, for captures without ARP replies; repeatable")
	flags.Var(&parsed[vswitch.MAC]{&f.guestMAC, "", "MAC", parseGuestMAC}, "guest-mac",
		"MAC of the guest in a capture of both directions (default: that of the plan, or the MAC of the pod interface)")
	f.holder = newChoice("guest", "switch", "kernel")
	flags.Var(f.holder, "holder", "Holder of the pod address")
	f.in = &choice{allowed: []string{"guest", "uplink", "pod", "server"}}
	flags.Var(f.in, "in", "Port at which every frame enters (default: see above)")
}

// options returns the options of the flags. Setup is zero if no flag selects a switch.
func (f *replayFlags) options(c *cobra.Command) (*replay.Options, error) {
	selectors := slices.DeleteFunc([]string{"plan", "bridge", "address"}, func(name string) bool { return !c.Flags().Changed(name) })
	if err := f.check(c.Flags().Changed, len(selectors)); err != nil {
		return nil, err
	}
	o := &replay.Options{In: f.in.value, GuestMAC: f.guestMAC}
	if err := f.setup(&o.Setup); err != nil || len(selectors) == 0 {
		return o, err
	}
	f.complete(&o.Setup)
	if err := o.Setup.Check(); err != nil {
		if f.plan != "" {
			err = fmt.Errorf("--plan %s: %w", f.plan, err)
		}
		return nil, err
	}
	return o, nil
}

// check rejects combinations of flags. selectors is the number of flags that select a switch.
func (f *replayFlags) check(changed func(name string) bool, selectors int) error {
	if selectors > 1 {
		return errors.New("--plan, --bridge and --address: want one of them")
	}
	for _, rule := range []struct {
		flags    []string
		violated bool
		message  string
	}{
		{[]string{"gateway", "wire-mac", "router-mac", "route", "keep", "deny"}, len(f.addresses) == 0, "needs --address"},
		{[]string{"mtu", "holder", "neighbour"}, selectors == 0, "needs --plan, --address or --bridge"},
		{[]string{"mtu"}, f.plan != "", "cannot be combined with --plan: the plan contains the MTU"},
		{[]string{"holder", "neighbour"}, f.bridge, "cannot be combined with --bridge: want --address or --plan"},
	} {
		if i := slices.IndexFunc(rule.flags, changed); rule.violated && i >= 0 {
			return fmt.Errorf("--%s %s", rule.flags[i], rule.message)
		}
	}
	if f.mtu < minMTU || f.mtu > maxMTU {
		return fmt.Errorf("--mtu %d: want %d to %d", f.mtu, minMTU, maxMTU)
	}
	return f.checkFamilies()
}

// complete adds holder, neighbours and the guest's MAC to a switch.
func (f *replayFlags) complete(s *replay.Setup) {
	s.Holder, _ = replay.ParseHolder(f.holder.value) // the flag allows only valid holders
	d := s.Delegate
	if d == nil {
		return
	}
	for _, n := range f.neighbours {
		d.Permanent = append(d.Permanent, vswitch.Neighbour(n))
	}
	if s.GuestMAC = f.guestMAC; f.guestMAC.IsZero() && d.PinnedMAC.IsZero() {
		s.GuestMAC = d.WireMAC
	}
}

// setup selects the switch. It does nothing if no flag selects one.
func (f *replayFlags) setup(s *replay.Setup) (err error) {
	switch {
	case f.plan != "":
		if *s, err = readPlan(f.plan); err != nil {
			err = fmt.Errorf("--plan %s: %w", f.plan, err)
		}
	case f.bridge:
		c := plan.PodBridge(f.mtu, vswitch.MAC{})
		s.Bridge = &c
	case len(f.addresses) > 0:
		s.Delegate, err = f.delegate()
	}
	return err
}

func parsePodAddress(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return p, errors.New("want an address with its prefix length, such as 10.244.1.7/24 or fd00:10:244:1::7/64")
	}
	return p, nil
}

func parseGateway(text string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil || !isPlain(ip) {
		return ip, errors.New("want an IP address, such as 10.244.1.1 or fe80::1")
	}
	return ip, nil
}

// isPlain reports whether an address has neither a zone nor the form ::ffff:10.0.0.1.
func isPlain(a netip.Addr) bool { return a.Zone() == "" && !a.Is4In6() }

// A replayRoute is a value of --route.
type replayRoute vswitch.Route

func (r replayRoute) String() string { return fmt.Sprintf("%s,%s", r.Destination, r.Gateway) }

func parseRoute(text string) (r replayRoute, err error) {
	destination, gateway, via := strings.Cut(text, ",")
	if r.Destination, err = netip.ParsePrefix(destination); err == nil && via {
		r.Gateway, err = netip.ParseAddr(gateway)
	}
	if err != nil || via && (r.Gateway.Is4() != r.Destination.Addr().Is4() || !isPlain(r.Gateway)) {
		return r, fmt.Errorf("%q: want CIDR or CIDR,GATEWAY of one family, such as 0.0.0.0/0,10.244.1.1 or ::/0,fe80::1", text)
	}
	return r, nil
}

// A replayNeighbour is a value of --neighbour.
type replayNeighbour vswitch.Neighbour

func (n replayNeighbour) String() string { return fmt.Sprintf("%s,%s", n.Addr, n.MAC) }

func parseNeighbour(text string) (n replayNeighbour, err error) {
	address, mac, _ := strings.Cut(text, ",")
	if n.Addr, err = netip.ParseAddr(address); err == nil {
		n.MAC, err = parseGuestMAC(mac)
	}
	if err != nil || !isPlain(n.Addr) {
		return n, fmt.Errorf("%q: want IP,MAC, such as 10.244.1.1,0a:58:0a:f4:01:01", text)
	}
	return n, nil
}
