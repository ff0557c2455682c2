package plan

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/podswitch/podswitch/vswitch"
)

// A KeptPort is a port of the pod address that stays with the pod's own processes.
type KeptPort struct {
	Network string `json:"network"`          // "tcp" or "udp"
	Port    uint16 `json:"port"`             // not 0, in host byte order
	Target  string `json:"target,omitempty"` // HOST:PORT, the destination of what arrives at the port; absent with Direct

	Proxy  bool       `json:"proxy,omitempty"`  // the target gets a header of the PROXY protocol, version 2, with the client's address
	Source netip.Addr `json:"from,omitzero"`    // the address of the loopback network that the target sees as every client; absent: the kernel's choice, 127.0.0.1
	Direct bool       `json:"direct,omitempty"` // the pod's processes at the same port of any address see the client's own address, through the way out
}

// Name returns tcp/PORT or udp/PORT.
func (k KeptPort) Name() string { return fmt.Sprintf("%s/%d", k.Network, k.Port) }

// AddTo adds the port to the configuration of a forwarder.
func (k KeptPort) AddTo(c *vswitch.DelegateConfig) {
	kept, direct := &c.KeptTCP, &c.DirectTCP
	if k.Network == "udp" {
		kept, direct = &c.KeptUDP, &c.DirectUDP
	}
	*kept = append(*kept, k.Port)
	if k.Direct {
		*direct = append(*direct, k.Port)
	}
}

// String returns k in the form that ParseKeptPort reads.
func (k KeptPort) String() string {
	if k.Direct {
		return k.Name() + "," + keptFrom + keptClient
	}
	text := k.Name() + "=" + k.Target
	if k.Proxy {
		text += "," + keptProxy
	}
	if k.Source.IsValid() {
		text += "," + keptFrom + k.Source.String()
	}
	return text
}

// The options of a kept port's text.
const (
	keptProxy  = "proxy"
	keptFrom   = "from="
	keptClient = "client"
)

// KeptPortForm is the form of a kept port's text.
const KeptPortForm = "tcp/PORT or udp/PORT[=HOST:PORT][,proxy][,from=127.X.X.X], or without HOST:PORT ,from=client"

// dhcpPorts are the UDP ports of DHCP (RFC 2131, section 4.1; RFC 8415, section 7.2).
var dhcpPorts = []uint64{67, 68, 546, 547}

// ParseKeptPort reads a text of the form KeptPortForm. Without a target, the destination is the same port of 127.0.0.1.
func ParseKeptPort(text string) (KeptPort, error) {
	options := strings.Split(text, ",")
	kept, target, hasTarget := strings.Cut(options[0], "=")
	network, number, _ := strings.Cut(kept, "/")
	port, err := strconv.ParseUint(number, 10, 16)
	k := KeptPort{Network: network, Port: uint16(port), Target: target}
	if network != "tcp" && network != "udp" || err != nil || port == 0 {
		return KeptPort{}, fmt.Errorf("kept port %q: want %s, with a port from 1 to 65535", text, KeptPortForm)
	}
	if network == "udp" && slices.Contains(dhcpPorts, port) {
		return KeptPort{}, fmt.Errorf("kept port %q: DHCP does not pass between the pod and its network: want another port", text)
	}
	if options := options[1:]; !hasTarget && len(options) == 1 && options[0] == keptFrom+keptClient {
		k.Direct = true
		return k, nil
	}
	if !hasTarget {
		k.Target = net.JoinHostPort("127.0.0.1", number)
	}
	host, targetPort, err := net.SplitHostPort(k.Target)
	if n, bad := strconv.ParseUint(targetPort, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		return KeptPort{}, fmt.Errorf("kept port %q: target %q: want HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080", text, target)
	}
	for _, option := range options[1:] {
		if err := k.readOption(option, host); err != nil {
			return KeptPort{}, fmt.Errorf("kept port %q: %w", text, err)
		}
	}
	return k, nil
}

// readOption reads one option. The host is that of the target.
func (k *KeptPort) readOption(option, host string) (err error) {
	source, isSource := strings.CutPrefix(option, keptFrom)
	switch {
	case option == keptProxy && !k.Proxy:
		k.Proxy = true
		return nil
	case !isSource || k.Source.IsValid():
		return fmt.Errorf("option %q: want proxy or from=127.X.X.X, each once", option)
	}
	if source == keptClient {
		return fmt.Errorf("option %q: want no HOST:PORT and no other option with it: the pod's processes at the port see the client's address", option)
	}
	if k.Source, err = netip.ParseAddr(source); err != nil || !k.Source.Is4() || !k.Source.IsLoopback() {
		return fmt.Errorf("option %q: want an address of 127.0.0.0/8", option)
	}
	// The kernel would refuse to connect from the loopback to another network.
	if address, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !address.Is4() || !address.IsLoopback()) {
		return fmt.Errorf("option %q: target %s: want localhost or an address of 127.0.0.0/8 with it", option, host)
	}
	return nil
}

// The range from which Linux chooses the source port of a connection (net.ipv4.ip_local_port_range, Documentation/networking/ip-sysctl.rst).
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
)

// keptWarnings are about kept ports.
func keptWarnings(p *Plan) (list []string) {
	var plain, sources, ephemeral, direct []string
	for _, k := range p.KeptPorts {
		switch {
		case k.Direct:
			direct = append(direct, k.Name())
		case !k.Proxy && !k.Source.IsValid():
			plain = append(plain, k.Name())
			sources = append(sources, k.loopback())
		}
		if k.Port >= firstEphemeral && k.Port <= lastEphemeral {
			ephemeral = append(ephemeral, k.Name())
		}
	}
	if len(plain) > 0 {
		slices.Sort(sources)
		list = append(list, fmt.Sprintf("the targets of kept %s see %s as the address of every client%s: what trusts the loopback is open to the cluster "+
			"(keep only ports of processes that do not decide by the client's address, or add \",proxy\" for a target that reads the PROXY protocol%s)",
			strings.Join(plain, ", "), strings.Join(slices.Compact(sources), " or "), p.ofFamilies(), p.fromAdvice(sources)))
	}
	if len(direct) > 0 && p.AddressIPv6.IsValid() {
		list = append(list, fmt.Sprintf("kept %s: clients are refused at %s, because from=client is for IPv4 alone (keep the port with a target instead, "+
			"with \",proxy\" if it has to know the client)", strings.Join(direct, ", "), p.AddressIPv6.Addr()))
	}
	if len(ephemeral) > 0 {
		list = append(list, fmt.Sprintf("kept %s may collide with the guest's own connections, whose source ports Linux chooses from %d to %d: such a connection fails "+
			"(keep a lower port, as in tcp/8080=127.0.0.1:PORT, or reserve it in the guest with net.ipv4.ip_local_reserved_ports)",
			strings.Join(ephemeral, ", "), firstEphemeral, lastEphemeral))
	}
	return list
}

// loopback returns the address that the target sees as every client, if it is on the loopback. A connection to :: arrives at ::1.
func (k KeptPort) loopback() string {
	host, _, _ := net.SplitHostPort(k.Target)
	if a, err := netip.ParseAddr(host); err == nil && (a.WithZone("") == netip.IPv6Loopback() || a == netip.IPv6Unspecified()) {
		return "::1"
	}
	return "127.0.0.1"
}

// fromAdvice returns what from= offers to targets that see the sources.
func (p *Plan) fromAdvice(sources []string) (advice string) {
	if slices.Contains(sources, "127.0.0.1") {
		advice = ", or \",from=127.0.0.2\" for one that trusts 127.0.0.1 alone"
	}
	if p.Address.IsValid() {
		advice += ", or \",from=client\" for one that listens at 0.0.0.0"
	}
	return advice
}

// ofFamilies qualifies clients in a sentence, if both addresses of the pod move.
func (p *Plan) ofFamilies() string {
	if p.Address.IsValid() && p.AddressIPv6.IsValid() {
		return ", of IPv4 and of IPv6"
	}
	return ""
}
