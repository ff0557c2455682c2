package podnet

// This file silences the kernel: on a whole device ([Silence]), or about the pod address on the pod interface, whose other users work on: DHCP
// clients, programs on packet sockets, other addresses, devices on top such as a macvlan, IPv6. Removing the addresses is not enough: the
// kernel would still forward packets for them, send ICMP errors about them, or answer ARP for them (proxy_arp).
//
// Received frames are dropped in the netdev ingress hook, behind packet sockets that are bound to ETH_P_ALL, and before the kernel's IP stack
// and packet sockets of one ethertype (__netif_receive_skb_core in net/core/dev.c): the switch receives every frame. Messages to a DHCP
// client pass the ingress hook, because such a client often has a packet socket for IPv4 alone. Hooks of the ip and arp families keep them,
// and frames with a priority tag, from the kernel's stack (silence_address.go). Packet sockets bypass the hooks for sent packets
// (packet_snd in net/packet/af_packet.c).

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"github.com/podswitch/podswitch/host/missing"
)

// Priorities of chains among those of other programs on the same hook: receivedPriority is before all, and sentPriority behind the
// translation of source addresses, so that a chain sees the address that leaves (NF_IP_PRI_* in linux/netfilter_ipv4.h).
const (
	receivedPriority = -500
	sentPriority     = 500
)

// Hooks of the ARP family (NF_ARP_IN and NF_ARP_OUT, linux/netfilter_arp.h).
const (
	arpInput  = 0
	arpOutput = 1
)

// Silence excludes the kernel of the calling thread's network namespace from a link: it receives nothing there, and sends no IPv4, IPv6 and ARP,
// until the result is closed or the process ends. Packet sockets of all ethertypes receive and send everything.
//
// Silence requires nf_tables. The error wraps ErrTaken if another podswitch has silenced the link, and is a *missing.Error without the
// privilege or the link. Any other error means that this kernel cannot do it.
func Silence(link string) (io.Closer, error) {
	conn, err := openRtnetlink()
	if err != nil {
		return nil, err
	}
	defer conn.close()
	l, err := conn.existingLink(link)
	if err != nil {
		return nil, err
	}
	silence, err := dropBoth(l, nftables.TableFamilyIPv4, nftables.TableFamilyIPv6, nftables.TableFamilyARP)
	if isDenied(err) {
		err = explain("silence the kernel on "+link, err)
	}
	return silence, err
}

// Mute silences the pod's kernel about the pod address of each family and leaves the addresses on the pod interface, until the result is closed or the process
// ends: the kernel receives nothing for them, and sends nothing from them, but for DHCP. Packet sockets receive and send everything. Mute is for
// plugins that deliver by the interface's addresses (ipvlan), and for software that looks the addresses up. Nothing has to be restored, also
// after a crash: the kernel removes the nftables tables.
//
// Mute requires nf_tables. The error is a *missing.Error if the kernel lacks it, or if there is no pod address, and wraps ErrTaken if another
// podswitch has the interface.
func Mute(id *Identity) (io.Closer, error) {
	operation := "mute the pod's kernel on " + id.Link.Name
	var addresses []netip.Addr
	for _, f := range []Family{IPv4, IPv6} {
		if a, ok := id.PodAddress(f); ok {
			addresses = append(addresses, a.Addr())
		}
	}
	if len(addresses) == 0 {
		return nil, &missing.Error{What: operation, Need: "an IPv4 or IPv6 address on it", Give: "let the network plugin assign one"}
	}
	silence, err := silenceAddresses(id.Link, addresses, true)
	switch {
	case err == nil:
		return silence, nil
	case errors.Is(err, ErrTaken):
		return nil, err
	case isDenied(err):
		return nil, explain(operation, err)
	}
	return nil, &missing.Error{What: operation, Need: "nf_tables with the netdev, ip, arp and ip6 families",
		Give: "load the kernel module nf_tables, or move the address instead", Err: err}
}

// dropBoth drops what the kernel would receive and what it would send, until the result is closed. It drops received frames of all ethertypes: that of
// a frame with a priority tag is the tag's at the ingress hook, and the packet's behind it.
func dropBoth(l Link, families ...nftables.TableFamily) (io.Closer, error) {
	inbound, err := dropReceived(l, func(conn *nftables.Conn, chain *nftables.Chain) { addRule(conn, chain, expr.VerdictDrop) })
	if err != nil {
		return nil, err
	}
	outbound, err := dropSent(l, families)
	if err != nil {
		return nil, errors.Join(err, inbound.Close())
	}
	return closer(func() error { return errors.Join(outbound.Close(), inbound.Close()) }), nil
}

// dropReceived drops frames that the link receives, until the result is closed. addRules adds the rules to the ingress chain. The error
// wraps ErrTaken if the table exists, and fs.ErrPermission without CAP_NET_ADMIN. Any other error means that this kernel cannot do it.
func dropReceived(l Link, addRules func(*nftables.Conn, *nftables.Chain)) (io.Closer, error) {
	conn, socket, err := openTableOwner()
	if err != nil {
		return nil, err
	}
	table := &nftables.Table{Name: tableName(l), Family: nftables.TableFamilyNetdev}
	if err := createOwned(socket, table); err != nil {
		_ = conn.CloseLasting()
		// The kernel answers EPERM for a table with another owner, not EEXIST (nft_table_lookup in net/netfilter/nf_tables_api.c).
		if taken := checkNotTaken(l); taken != nil {
			return nil, taken
		}
		return nil, fmt.Errorf("create the nftables table %s: %w", table.Name, err)
	}
	accept := nftables.ChainPolicyAccept
	addRules(conn, conn.AddChain(&nftables.Chain{
		Name: "ingress", Table: table, Type: nftables.ChainTypeFilter, Device: l.Name, Policy: &accept,
		Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityRef(receivedPriority),
	}))
	if err := conn.Flush(); err != nil {
		_ = conn.CloseLasting()
		return nil, fmt.Errorf("attach the nftables table %s to %s: %w", table.Name, l.Name, err)
	}
	return tableRemover(conn, table), nil
}

// isEthertype matches frames of an ethertype. It reads the type field of the Ethernet header, because a frame with a VLAN tag belongs to
// another interface.
func isEthertype(l Link, ethertype uint16) []expr.Any {
	var load expr.Any = &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: 12, Len: 2}
	if !l.Ethernet {
		load = &expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1}
	}
	return isEqual(load, binary.BigEndian.AppendUint16(nil, ethertype))
}

// dropSent drops packets that the kernel's own stack sends through the link, until the result is closed: of local processes, forwarded,
// TCP resets, ICMP errors, ARP.
func dropSent(l Link, families []nftables.TableFamily) (io.Closer, error) {
	return addTables(l, families, func(conn *nftables.Conn, table *nftables.Table) {
		// Unlike the output hook, postrouting also has forwarded packets, and those that were rerouted after the output hook.
		hook := nftables.ChainHookPostrouting
		if table.Family == nftables.TableFamilyARP {
			hook = nftables.ChainHookRef(arpOutput)
		}
		addRule(conn, addChain(conn, table, "outbound", hook, sentPriority), expr.VerdictDrop, isSentBy(l))
	})
}

// addTables creates a table in each family, which exist until the result is closed. addRules adds chains and rules to one of them.
func addTables(l Link, families []nftables.TableFamily, addRules func(*nftables.Conn, *nftables.Table)) (io.Closer, error) {
	conn, socket, err := openTableOwner()
	if err != nil {
		return nil, err
	}
	var tables []*nftables.Table
	for _, family := range families {
		table := &nftables.Table{Name: tableName(l), Family: family}
		if err := createOwned(socket, table); err != nil {
			_ = conn.CloseLasting()
			return nil, fmt.Errorf("create the nftables table %s: %w", table.Name, err)
		}
		addRules(conn, table)
		tables = append(tables, table)
	}
	if err := conn.Flush(); err != nil {
		_ = conn.CloseLasting()
		return nil, fmt.Errorf("attach the nftables tables %s to %s: %w", tableName(l), l.Name, err)
	}
	return tableRemover(conn, tables...), nil
}

func addChain(conn *nftables.Conn, table *nftables.Table, name string, hook *nftables.ChainHook, priority nftables.ChainPriority) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return conn.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeFilter, Policy: &accept,
		Hooknum: hook, Priority: nftables.ChainPriorityRef(priority)})
}

// addRule adds a rule that counts the packets that match all conditions, and decides about them.
func addRule(conn *nftables.Conn, chain *nftables.Chain, verdict expr.VerdictKind, conditions ...[]expr.Any) {
	var all []expr.Any
	for _, c := range conditions {
		all = append(all, c...)
	}
	conn.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: append(all, &expr.Counter{}, &expr.Verdict{Kind: verdict})})
}

// isEqual matches packets of which load puts value into register 1.
func isEqual(load expr.Any, value []byte) []expr.Any {
	return []expr.Any{load, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value}}
}

// isReceivedBy and isSentBy match packets by their interface.
func isReceivedBy(l Link) []expr.Any { return isLink(expr.MetaKeyIIF, l) }
func isSentBy(l Link) []expr.Any     { return isLink(expr.MetaKeyOIF, l) }

func isLink(key expr.MetaKey, l Link) []expr.Any {
	return isEqual(&expr.Meta{Key: key, Register: 1}, binaryutil.NativeEndian.PutUint32(uint32(l.Index)))
}
