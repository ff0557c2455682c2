package podnet

// This file silences the kernel on an interface. Removing the addresses is not enough: the kernel would still answer ARP for other
// addresses of the pod (arp_ignore 0, the weak host model) and forward packets or send ICMP errors about them.
//
// Received frames are dropped in the netdev ingress hook, behind packet sockets that are bound to ETH_P_ALL and before the kernel's IP
// stack (__netif_receive_skb_core in net/core/dev.c): the switch receives every frame, the kernel none. Sent packets are dropped in the
// last hook of the ip, ip6 and arp families, which packet sockets bypass (packet_snd in net/packet/af_packet.c).

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// dropPriority puts the chains before those of other programs on the same hook.
const dropPriority = -500

// arpOutput is the output hook of the ARP family (NF_ARP_OUT, linux/netfilter_arp.h).
const arpOutput = 1

// silentEthertypes are the protocols that Take and Mute withhold from the kernel. IPv6 stays with it.
func silentEthertypes() []uint16 { return []uint16{unix.ETH_P_IP, unix.ETH_P_ARP} }

// Silence excludes the kernel of the calling thread's network namespace from a link: it receives no IPv4, IPv6 and ARP there and sends
// none, until the result is closed or the process ends. Packet sockets receive and send everything.
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
	silence, err := dropBoth(l, append(silentEthertypes(), unix.ETH_P_IPV6),
		nftables.TableFamilyIPv4, nftables.TableFamilyIPv6, nftables.TableFamilyARP)
	if isDenied(err) {
		err = explain("silence the kernel on "+link, err)
	}
	return silence, err
}

// Mute silences the pod's kernel on the pod interface and leaves the addresses there: the kernel receives no IPv4 and ARP and sends
// none, until the result is closed or the process ends. Packet sockets receive and send everything. Mute is for plugins that deliver by
// the interface's addresses (ipvlan), and for software that looks the addresses up. Nothing has to be restored, also after a crash: the
// kernel removes the nftables tables.
//
// Mute requires nf_tables. The error is a *missing.Error if the kernel lacks it, and wraps ErrTaken if another podswitch has the
// interface.
func Mute(id *Identity) (io.Closer, error) {
	silence, err := dropBoth(id.Link, silentEthertypes(), nftables.TableFamilyIPv4, nftables.TableFamilyARP)
	operation := "mute the pod's kernel on " + id.Link.Name
	switch {
	case err == nil:
		return silence, nil
	case errors.Is(err, ErrTaken):
		return nil, err
	case isDenied(err):
		return nil, explain(operation, err)
	}
	return nil, &missing.Error{What: operation, Need: "nf_tables with the netdev, ip and arp families",
		Give: "load the kernel module nf_tables, or move the address instead", Err: err}
}

// dropBoth drops what the kernel would receive and what it would send, until the result is closed.
func dropBoth(l Link, ethertypes []uint16, families ...nftables.TableFamily) (io.Closer, error) {
	inbound, err := dropReceived(l, ethertypes)
	if err != nil {
		return nil, err
	}
	outbound, err := dropSent(l, families)
	if err != nil {
		return nil, errors.Join(err, inbound.Close())
	}
	return closer(func() error { return errors.Join(outbound.Close(), inbound.Close()) }), nil
}

// silenceReceived is the silence of Take. It does not drop what the kernel sends, because the kernel loses its IPv4 routes through the link
// together with the addresses.
func silenceReceived(l Link) (io.Closer, error) { return dropReceived(l, silentEthertypes()) }

// dropReceived drops frames that the link receives, until the result is closed. The error wraps ErrTaken if the table exists, and
// fs.ErrPermission without CAP_NET_ADMIN. Any other error means that this kernel cannot do it.
func dropReceived(l Link, ethertypes []uint16) (io.Closer, error) {
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
	addInboundDrop(conn, table, l, ethertypes)
	if err := conn.Flush(); err != nil {
		_ = conn.CloseLasting()
		return nil, fmt.Errorf("attach the nftables table %s to %s: %w", table.Name, l.Name, err)
	}
	return tableRemover(conn, table), nil
}

func addInboundDrop(conn *nftables.Conn, table *nftables.Table, l Link, ethertypes []uint16) {
	accept := nftables.ChainPolicyAccept
	chain := conn.AddChain(&nftables.Chain{
		Name: "ingress", Table: table, Type: nftables.ChainTypeFilter, Device: l.Name, Policy: &accept,
		Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityRef(dropPriority),
	})
	// The type field of the Ethernet header, because a frame with a VLAN tag passes: it belongs to another interface.
	var load expr.Any = &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: 12, Len: 2}
	if !l.Ethernet {
		load = &expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1}
	}
	for _, ethertype := range ethertypes {
		addDrop(conn, chain, load, binary.BigEndian.AppendUint16(nil, ethertype))
	}
}

// dropSent drops packets that the kernel's own stack sends through the link, until the result is closed: of local processes, forwarded,
// TCP resets, ICMP errors, ARP.
func dropSent(l Link, families []nftables.TableFamily) (io.Closer, error) {
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
		addOutboundDrop(conn, table, l)
		tables = append(tables, table)
	}
	if err := conn.Flush(); err != nil {
		_ = conn.CloseLasting()
		return nil, fmt.Errorf("attach the nftables tables %s to the output of %s: %w", tableName(l), l.Name, err)
	}
	return tableRemover(conn, tables...), nil
}

func addOutboundDrop(conn *nftables.Conn, table *nftables.Table, l Link) {
	// Unlike the output hook, postrouting also has forwarded packets, and those that were rerouted after the output hook.
	hook := nftables.ChainHookPostrouting
	if table.Family == nftables.TableFamilyARP {
		hook = nftables.ChainHookRef(arpOutput)
	}
	accept := nftables.ChainPolicyAccept
	chain := conn.AddChain(&nftables.Chain{
		Name: "outbound", Table: table, Type: nftables.ChainTypeFilter, Policy: &accept,
		Hooknum: hook, Priority: nftables.ChainPriorityRef(dropPriority),
	})
	addDrop(conn, chain, &expr.Meta{Key: expr.MetaKeyOIF, Register: 1}, binaryutil.NativeEndian.PutUint32(uint32(l.Index)))
}

// addDrop adds a rule that counts and drops a packet if load puts value into register 1.
func addDrop(conn *nftables.Conn, chain *nftables.Chain, load expr.Any, value []byte) {
	conn.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: []expr.Any{
		load,
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
}
