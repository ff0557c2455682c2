package podnet

// This file keeps the pod's kernel silent on the pod interface while it is not the holder. Removing the address is not
// enough: with the address gone the kernel may still answer for other addresses of the pod (the weak host model) or
// forward. A netdev ingress chain drops IPv4 and ARP before the kernel's IP stack and after packet sockets bound to
// ETH_P_ALL, so the switch still sees every frame (__netif_receive_skb_core in net/core/dev.c). The table carries the
// owner flag (Linux 5.12): the kernel removes it when the socket that made it closes, however the process ends.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	nfnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

const (
	tablePrefix   = "podswitch-"
	tableOwned    = 2    // NFT_TABLE_F_OWNER, linux/netfilter/nf_tables.h
	fencePriority = -500 // before the chains of others on the same hook
)

// fencedEthertypes are the protocols that the kernel does not get to see. IPv6 stays with it.
func fencedEthertypes() []uint16 { return []uint16{unix.ETH_P_IP, unix.ETH_P_ARP} }

// tableName names the table that says "taken". The index, unlike the name, does not change while the interface lives.
func tableName(l Link) string { return fmt.Sprintf("%s%d", tablePrefix, l.Index) }

// checkNotTaken returns an error that wraps ErrTaken when a podswitch lives that has silenced the kernel on the link.
// Without the privilege to ask, or without nf_tables, it knows of none.
func checkNotTaken(l Link) error {
	conn, err := nftables.New()
	if err != nil {
		return nil
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyNetdev)
	if err != nil {
		return nil
	}
	for _, t := range tables {
		if t.Family == nftables.TableFamilyNetdev && t.Name == tableName(l) {
			return takenError(l)
		}
	}
	return nil
}

func takenError(l Link) error {
	return &missing.Error{
		What: "take the address of " + l.Name,
		Need: fmt.Sprintf("it from the kernel, but the nftables table %q shows that another podswitch has it", "netdev "+tableName(l)),
		Give: "stop that podswitch first",
		Err:  ErrTaken,
	}
}

// Silence keeps the kernel of the calling thread's namespace out of a link: it neither sees IP and ARP that arrive there, nor
// sends any, until the result is closed or the process ends. Packet sockets see and send everything. Unlike Take it has no
// other means than nf_tables: an error that does not wrap ErrTaken and is no *missing.Error means that this kernel cannot
// do it.
func Silence(link string) (io.Closer, error) {
	if err := checkLinkName(link); err != nil {
		return nil, err
	}
	conn, err := openRtnetlink()
	if err != nil {
		return nil, err
	}
	defer conn.close()
	l, _, ok, err := conn.link(0, link)
	switch {
	case err != nil:
		return nil, explain("look at "+link, err)
	case !ok:
		return nil, noSuchLink(conn, link)
	}
	both, err := raiseBoth(l, append(fencedEthertypes(), unix.ETH_P_IPV6), nftables.TableFamilyIPv4, nftables.TableFamilyIPv6, nftables.TableFamilyARP)
	if denied(err) {
		err = explain("silence the kernel on "+link, err)
	}
	return both, err
}

// raiseFence makes the table; closing the result removes it. The error wraps ErrTaken when the table is there already,
// and fs.ErrPermission without CAP_NET_ADMIN; any other error means that this kernel cannot do it.
func raiseFence(l Link) (io.Closer, error) { return raiseFenceOf(l, fencedEthertypes()) }

func raiseFenceOf(l Link, ethertypes []uint16) (io.Closer, error) {
	conn, socket, err := openLasting()
	if err != nil {
		return nil, err
	}
	table := &nftables.Table{Name: tableName(l), Family: nftables.TableFamilyNetdev}
	if err := createOwned(socket, table); err != nil {
		_ = conn.CloseLasting()
		// To others than its owner the kernel denies an owned table rather than say that it exists.
		if taken := checkNotTaken(l); taken != nil {
			return nil, taken
		}
		return nil, fmt.Errorf("create the nftables table %s: %w", table.Name, err)
	}
	addDropRules(conn, table, l, ethertypes)
	if err := conn.Flush(); err != nil {
		_ = conn.CloseLasting()
		return nil, fmt.Errorf("hook the nftables table %s into %s: %w", table.Name, l.Name, err)
	}
	return removing(conn, table), nil
}

// openLasting opens a socket for nftables, whose end is that of the tables that it owns. It returns it in both forms.
func openLasting() (conn *nftables.Conn, socket *nfnetlink.Conn, err error) {
	conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *nfnetlink.Conn) error {
		socket = c
		return nil
	}))
	if err != nil {
		return nil, nil, fmt.Errorf("open an nftables socket: %w", err)
	}
	return conn, socket, nil
}

// removing removes tables when it is closed, and their socket. Not by closing that alone: a child that was being forked may hold it
// open for a moment.
func removing(conn *nftables.Conn, tables ...*nftables.Table) io.Closer {
	return closer(func() error {
		for _, t := range tables {
			conn.DelTable(t)
		}
		return errors.Join(conn.Flush(), conn.CloseLasting())
	})
}

// A closer is a function with io.Closer's method.
type closer func() error

func (c closer) Close() error { return c() }

// createOwned creates a table with the owner flag in a batch of its own, which the nftables package cannot: v0.3.0 sends
// every table with flags of zero, and the kernel does not let a table change its owner later.
func createOwned(socket *nfnetlink.Conn, table *nftables.Table) error {
	attributes, err := nfnetlink.MarshalAttributes([]nfnetlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: append([]byte(table.Name), 0)},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binary.BigEndian.AppendUint32(nil, tableOwned)},
	})
	if err != nil {
		return err
	}
	create := nfMessage(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE, byte(table.Family), 0)
	create.Header.Flags |= nfnetlink.Acknowledge | nfnetlink.Create | nfnetlink.Excl
	create.Data = append(create.Data, attributes...)
	_, err = socket.SendMessages([]nfnetlink.Message{
		nfMessage(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.NFNL_SUBSYS_NFTABLES),
		create,
		nfMessage(unix.NFNL_MSG_BATCH_END, 0, unix.NFNL_SUBSYS_NFTABLES),
	})
	if err != nil {
		return err
	}
	_, err = socket.Receive()
	return err
}

// nfMessage starts a message with its struct nfgenmsg: family, version, resource in network byte order.
func nfMessage(kind int, family byte, resource uint16) nfnetlink.Message {
	return nfnetlink.Message{
		Header: nfnetlink.Header{Type: nfnetlink.HeaderType(kind), Flags: nfnetlink.Request},
		Data:   binary.BigEndian.AppendUint16([]byte{family, unix.NFNETLINK_V0}, resource),
	}
}

func addDropRules(conn *nftables.Conn, table *nftables.Table, l Link, ethertypes []uint16) {
	accept := nftables.ChainPolicyAccept
	chain := conn.AddChain(&nftables.Chain{
		Name: "ingress", Table: table, Type: nftables.ChainTypeFilter, Device: l.Name, Policy: &accept,
		Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityRef(fencePriority),
	})
	// The type field of the Ethernet header, so that frames with a VLAN tag, which go to other interfaces, pass.
	var load expr.Any = &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: 12, Len: 2}
	if !l.Ethernet {
		load = &expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1}
	}
	for _, ethertype := range ethertypes {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			load,
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, ethertype)},
			&expr.Counter{},
			&expr.Verdict{Kind: expr.VerdictDrop},
		}})
	}
}

// denied tells whether err is a refusal for want of privilege.
func denied(err error) bool { return errors.Is(err, fs.ErrPermission) }
