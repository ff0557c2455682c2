package podnet

// This file creates nftables tables that exist as long as the process. A table with the owner flag (NFT_TABLE_F_OWNER, Linux 5.12)
// belongs to the netlink socket that created it. The kernel removes the table when that socket is closed, however the process ends
// (nft_rcv_nl_event in net/netfilter/nf_tables_api.c). The table's name tells other instances of podswitch that the interface is taken.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/google/nftables"
	nfnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

const tablePrefix = "podswitch-"

// tableOwned is NFT_TABLE_F_OWNER (linux/netfilter/nf_tables.h), which golang.org/x/sys/unix lacks.
const tableOwned = 2

// tableName names the tables of a link. The index, unlike the name, does not change while the interface exists.
func tableName(l Link) string { return fmt.Sprintf("%s%d", tablePrefix, l.Index) }

// checkNotTaken returns an error that wraps ErrTaken if a running podswitch has silenced the kernel on the link. It returns nil if the
// tables cannot be listed: without CAP_NET_ADMIN, or without nf_tables.
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
		Need: fmt.Sprintf("exclusive use, but another podswitch has the nftables table %q", "netdev "+tableName(l)),
		Give: "stop that podswitch first",
		Err:  ErrTaken,
	}
}

// openTableOwner opens a socket that can own tables. conn and socket are the same socket: conn for what the nftables package can do,
// socket for createOwned.
func openTableOwner() (conn *nftables.Conn, socket *nfnetlink.Conn, err error) {
	conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *nfnetlink.Conn) error {
		socket = c
		return nil
	}))
	if err != nil {
		return nil, nil, fmt.Errorf("open an nftables socket: %w", err)
	}
	return conn, socket, nil
}

// tableRemover returns a Closer that removes tables and closes the socket that owns them. Closing the socket alone is not enough: a forked
// child shares it until it calls execve.
func tableRemover(conn *nftables.Conn, tables ...*nftables.Table) io.Closer {
	return closer(func() error {
		for _, t := range tables {
			conn.DelTable(t)
		}
		return errors.Join(conn.Flush(), conn.CloseLasting())
	})
}

// A closer is a function that implements io.Closer.
type closer func() error

func (c closer) Close() error { return c() }

// createOwned creates a table with the owner flag, in a separate batch. Version 0.3.0 of the nftables package sends every table with
// flags of zero, and the kernel refuses to change the owner later.
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

// nfMessage returns a message that consists of its struct nfgenmsg: family, version, and a resource ID in network byte order.
func nfMessage(kind int, family byte, resource uint16) nfnetlink.Message {
	return nfnetlink.Message{
		Header: nfnetlink.Header{Type: nfnetlink.HeaderType(kind), Flags: nfnetlink.Request},
		Data:   binary.BigEndian.AppendUint16([]byte{family, unix.NFNETLINK_V0}, resource),
	}
}

// isDenied reports whether err is a refusal for lack of privilege.
func isDenied(err error) bool { return errors.Is(err, fs.ErrPermission) }
