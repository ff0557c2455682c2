package podnet

// This file silences the kernel about addresses of the pod interface. The rules, for each address:
//
//	hook                 drops                                           but for
//	netdev ingress       IPv4 to the address; ARP requests for it        messages to a DHCP client (from UDP port 67 to 68)
//	ip prerouting        IPv4 to the address                             the same, with Mute
//	ip postrouting       IPv4 from the address                           messages of a DHCP client (from UDP port 68 to 67)
//	arp input            ARP requests for the address
//	arp output           ARP replies with the address
//
// The rules for an IPv6 address:
//
//	netdev ingress,      IPv6 to the address; neighbour solicitations and advertisements about it
//	ip6 prerouting
//	ip6 postrouting      IPv6 from the address
//
// All other IPv6 of the kernel goes on: what it learns from routers, and its answers to an MLD querier, which keep a bridge from forgetting
// the pod. IPv6 DHCP clients use link-local addresses.
//
// ARP replies to the kernel and its own requests pass: they answer nothing, and a DHCP client with a UDP socket needs them. The rules of the
// ip family apply where those of the netdev family do not: to DHCP, and to frames with a priority tag, which the kernel takes for
// untagged ones behind the ingress hook. The rules for what is sent apply to addresses that are on the interface: with Mute, and while
// another program adds one of them again.

import (
	"errors"
	"io"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ARP operations (RFC 826).
const (
	arpRequest = 1
	arpReply   = 2
)

// silenceTaken is the silence of Take, about all recorded addresses. The families ip and arp are optional: without the addresses, the
// kernel has little to say.
func silenceTaken(id *Identity) (io.Closer, error) {
	var addresses []netip.Addr
	for _, a := range id.Addresses {
		addresses = append(addresses, a.Prefix.Addr())
	}
	return silenceAddresses(id.Link, addresses, false)
}

// silenceAddresses makes the kernel silent about addresses on a link, until the result is closed. The addresses are on the link if muted is
// true; the kernel then needs all families of nf_tables. The errors are those of dropReceived.
func silenceAddresses(l Link, addresses []netip.Addr, muted bool) (io.Closer, error) {
	ingress, err := dropReceived(l, func(conn *nftables.Conn, chain *nftables.Chain) {
		addRule(conn, chain, expr.VerdictAccept, isEthertype(l, unix.ETH_P_IP), isUDP(67, 68))
		for _, a := range addresses {
			if a.Is6() {
				addIPv6Rules(conn, chain, isEthertype(l, unix.ETH_P_IPV6), a)
				continue
			}
			addRule(conn, chain, expr.VerdictDrop, isEthertype(l, unix.ETH_P_IP), isDestination(a))
			addRule(conn, chain, expr.VerdictDrop, isEthertype(l, unix.ETH_P_ARP), isOperation(arpRequest), isTarget(a))
		}
	})
	if err != nil {
		return nil, err
	}
	stack, err := addTables(l, stackFamilies(addresses), func(conn *nftables.Conn, table *nftables.Table) {
		switch table.Family {
		case nftables.TableFamilyARP:
			addARPRules(conn, table, l, addresses)
		default:
			addIPRules(conn, table, l, addresses, muted)
		}
	})
	switch {
	case err == nil:
		return closer(func() error { return errors.Join(stack.Close(), ingress.Close()) }), nil
	case muted:
		return nil, errors.Join(err, ingress.Close())
	}
	return ingress, nil
}

// stackFamilies returns the families of nf_tables that silence the kernel's stack about the addresses.
func stackFamilies(addresses []netip.Addr) (families []nftables.TableFamily) {
	if slices.ContainsFunc(addresses, netip.Addr.Is4) {
		families = append(families, nftables.TableFamilyIPv4, nftables.TableFamilyARP)
	}
	if slices.ContainsFunc(addresses, netip.Addr.Is6) {
		families = append(families, nftables.TableFamilyIPv6)
	}
	return families
}

// addIPRules adds the rules of the family ip or ip6.
func addIPRules(conn *nftables.Conn, table *nftables.Table, l Link, addresses []netip.Addr, muted bool) {
	inbound := addChain(conn, table, "inbound", nftables.ChainHookPrerouting, receivedPriority)
	outbound := addChain(conn, table, "outbound", nftables.ChainHookPostrouting, sentPriority)
	isIPv6 := table.Family == nftables.TableFamilyIPv6
	if muted && !isIPv6 {
		addRule(conn, inbound, expr.VerdictAccept, isReceivedBy(l), isUDP(67, 68))
	}
	if !isIPv6 {
		addRule(conn, outbound, expr.VerdictAccept, isSentBy(l), isUDP(68, 67))
	}
	for _, a := range addresses {
		if a.Is6() != isIPv6 {
			continue
		}
		if isIPv6 {
			addIPv6Rules(conn, inbound, isReceivedBy(l), a)
			addRule(conn, outbound, expr.VerdictDrop, isSentBy(l), isIPv6Source(a))
			continue
		}
		addRule(conn, inbound, expr.VerdictDrop, isReceivedBy(l), isDestination(a))
		addRule(conn, outbound, expr.VerdictDrop, isSentBy(l), isSource(a))
	}
}

func addARPRules(conn *nftables.Conn, table *nftables.Table, l Link, addresses []netip.Addr) {
	inbound := addChain(conn, table, "inbound", nftables.ChainHookRef(arpInput), receivedPriority)
	outbound := addChain(conn, table, "outbound", nftables.ChainHookRef(arpOutput), sentPriority)
	for _, a := range addresses {
		if a.Is6() {
			continue
		}
		addRule(conn, inbound, expr.VerdictDrop, isReceivedBy(l), isOperation(arpRequest), isTarget(a))
		addRule(conn, outbound, expr.VerdictDrop, isSentBy(l), isOperation(arpReply), isSender(a))
	}
}

// addIPv6Rules adds the rules for received frames about an IPv6 address. arrived matches them.
func addIPv6Rules(conn *nftables.Conn, chain *nftables.Chain, arrived []expr.Any, a netip.Addr) {
	addRule(conn, chain, expr.VerdictDrop, arrived, isIPv6Destination(a))
	for _, message := range []byte{neighbourSolicitation, neighbourAdvertisement} {
		addRule(conn, chain, expr.VerdictDrop, arrived, isICMPv6About(message, a))
	}
}

// Types of ICMPv6 messages (RFC 4861).
const (
	neighbourSolicitation  = 135
	neighbourAdvertisement = 136
)

// Fields of an IPv6 header (RFC 8200), and of a neighbour message without an extension header before it (RFC 6980 allows none).
func isIPv6Source(a netip.Addr) []expr.Any      { return isField(8, a.AsSlice()) }
func isIPv6Destination(a netip.Addr) []expr.Any { return isField(24, a.AsSlice()) }
func isICMPv6About(message byte, target netip.Addr) []expr.Any {
	return slices.Concat(isField(6, []byte{unix.IPPROTO_ICMPV6}), isField(40, []byte{message}), isField(48, target.AsSlice()))
}

// Fields of an IPv4 header (RFC 791) and of an ARP message for Ethernet (RFC 826), by their offset.
func isSource(a netip.Addr) []expr.Any      { return isField(12, a.AsSlice()) }
func isDestination(a netip.Addr) []expr.Any { return isField(16, a.AsSlice()) }
func isOperation(code byte) []expr.Any      { return isField(6, []byte{0, code}) }
func isSender(a netip.Addr) []expr.Any      { return isField(14, a.AsSlice()) }
func isTarget(a netip.Addr) []expr.Any      { return isField(24, a.AsSlice()) }

// isField matches packets with a value at an offset in the network header.
func isField(offset uint32, value []byte) []expr.Any {
	return isEqual(&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(value))}, value)
}

// isUDP matches IPv4 packets of UDP with these ports. A fragment that is not the first one has no ports, and never matches
// (nft_payload_eval in net/netfilter/nft_payload.c).
func isUDP(source, destination byte) []expr.Any {
	ports := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 4}
	return append(isField(9, []byte{unix.IPPROTO_UDP}), isEqual(ports, []byte{0, source, 0, destination})...)
}
