package main

import "context"

// A candidate is a program, or a device of the kernel, that connects a pod's interface with a guest.
type candidate struct {
	name     string
	what     string   // description
	baseline string   // candidate that it is compared with
	groups   []string // groups of figures to measure; nil for all
	leases   bool     // it has a DHCP server for the guest
	ipv6     bool     // it forwards IPv6, and the topology configures it
	largest  int      // largest MTU; Open vSwitch without TSO assumes 1500 for a tap in another namespace
	needs    []need
	start    func(context.Context, *session) error // returns when the guest has its interface
}

// A need is a program of a candidate, and the package that has it.
type need struct{ program, give string }

const jumbo = 9000

// candidates returns all candidates in the order of the table. The pump and the kernel bridge are the baselines of the others.
func candidates() []candidate {
	ovs := []need{{"ovsdb-server", "openvswitch-switch"}, {"ovs-vsctl", "openvswitch-switch"}, {"ovs-vswitchd", "openvswitch-switch"}}
	tso := append(ovs[:2:2], need{tsoDaemon, "openvswitch-switch-dpdk"})
	plain := []string{"tcp", "idle"}
	return []candidate{
		{name: ourselves, what: "podswitch run, which moves the pod's address", baseline: pump, leases: true, ipv6: true, largest: jumbo, start: delegate("on")},
		{name: "podswitch-switch", what: "a learning switch", baseline: pump, ipv6: true, largest: jumbo, start: learn(0)},
		{name: pump, what: "read from one device, write to the other", baseline: bridge, ipv6: true, largest: jumbo, start: startPump()},
		{name: bridge, what: "in the pod, with a veth guest", baseline: pump, ipv6: true, largest: jumbo, start: startBridge},
		{name: "ovs", what: "userspace datapath", baseline: pump, largest: 1500, needs: ovs, start: openVSwitch("ovs-vswitchd", false)},
		{name: "ovs-tso", what: "userspace datapath, userspace-tso-enable", baseline: pump, largest: jumbo, needs: tso, start: openVSwitch(tsoDaemon, true)},
		{name: "vde_switch", what: "between two taps, one of them bridged to eth0", baseline: pump, largest: 1500, needs: []need{{"vde_switch", "vde2"}}, start: startVDE},
		{name: "pasta", what: "translates to sockets", baseline: pump, leases: true, largest: jumbo, needs: []need{{"pasta", "passt"}}, start: startPasta},
		{name: "slirp4netns", what: "translates to sockets", baseline: pump, leases: true, largest: jumbo, needs: []need{{"slirp4netns", "slirp4netns"}}, start: startSlirp},
		{name: "gvproxy", what: "translates to sockets; with gvforwarder", baseline: pump, leases: true, largest: jumbo, needs: []need{{"gvproxy", ""}, {"gvforwarder", ""}}, start: startGvproxy},
		{name: ourselves + "-plain", what: "--offload off", baseline: pump + "-plain", groups: plain, largest: 1500, start: delegate("off")},
		{name: pump + "-plain", what: "the kernel computes checksums and segments", baseline: pump, groups: plain, largest: 1500, start: startPump("plain")},
		{name: "switch+1", what: "podswitch switch with an idle port", baseline: "podswitch-switch", groups: []string{"ports"}, largest: 1500, start: learn(1)},
		{name: "switch+8", what: "podswitch switch with 8 idle ports", baseline: "podswitch-switch", groups: []string{"ports"}, largest: 1500, start: learn(8)},
		{name: "switch+64", what: "podswitch switch with 64 idle ports", baseline: "podswitch-switch", groups: []string{"ports"}, largest: 1500, start: learn(64)},
	}
}

// Names of candidates that are used elsewhere.
const (
	ourselves = "podswitch"
	pump      = "pump"
	bridge    = "kernel-bridge"
)

// tsoDaemon is Debian's build of Open vSwitch with segmentation in userspace.
const tsoDaemon = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
