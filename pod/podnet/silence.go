package podnet

import (
	"errors"
	"fmt"
	"io"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"github.com/podswitch/podswitch/host/missing"
)

// arpOutput is the output hook of the ARP family (NF_ARP_OUT, linux/netfilter_arp.h).
const arpOutput = 1

// Mute leaves the addresses on the pod interface and keeps the kernel silent there: it neither sees IPv4 and ARP that arrive,
// nor sends any. It is for plugins that deliver by the addresses that the interface has (ipvlan), and for what reads them
// by the interface's name. Nothing has to be restored: the kernel itself removes the nftables tables when the result is
// closed or the process ends. Packet sockets see and send everything.
//
// There is no other means than nf_tables: the error is a *missing.Error where the kernel lacks it, and wraps ErrTaken when
// another podswitch has the interface.
func Mute(id *Identity) (io.Closer, error) {
	both, err := raiseBoth(id.Link, fencedEthertypes(), nftables.TableFamilyIPv4, nftables.TableFamilyARP)
	if err != nil {
		return nil, muteError(id.Link, err)
	}
	return both, nil
}

// raiseBoth keeps the kernel from hearing and from speaking.
func raiseBoth(l Link, ethertypes []uint16, families ...nftables.TableFamily) (io.Closer, error) {
	inbound, err := raiseFenceOf(l, ethertypes)
	if err != nil {
		return nil, err
	}
	outbound, err := raiseGag(l, families)
	if err != nil {
		return nil, errors.Join(err, inbound.Close())
	}
	return closer(func() error { return errors.Join(outbound.Close(), inbound.Close()) }), nil
}

func muteError(l Link, err error) error {
	if errors.Is(err, ErrTaken) {
		return err
	}
	if denied(err) {
		return explain("mute the pod's kernel on "+l.Name, err)
	}
	return &missing.Error{What: "mute the pod's kernel on " + l.Name, Need: "nf_tables with the netdev, ip and arp families",
		Give: "load the kernel module nf_tables, or move the address instead", Err: err}
}

// raiseGag drops what the kernel's own stack sends on a link: of the pod's processes, forwarded, resets, ICMP, ARP. What packet
// sockets send does not pass these hooks.
func raiseGag(l Link, families []nftables.TableFamily) (io.Closer, error) {
	conn, socket, err := openLasting()
	if err != nil {
		return nil, err
	}
	var tables []*nftables.Table
	for _, family := range families {
		hook := nftables.ChainHookPostrouting // also what is forwarded, and what was routed anew behind the output hook
		if family == nftables.TableFamilyARP {
			hook = nftables.ChainHookRef(arpOutput)
		}
		table := &nftables.Table{Name: tableName(l), Family: family}
		if err := createOwned(socket, table); err != nil {
			_ = conn.CloseLasting()
			return nil, fmt.Errorf("create the nftables table %s: %w", table.Name, err)
		}
		addOutputDrop(conn, table, hook, l)
		tables = append(tables, table)
	}
	if err := conn.Flush(); err != nil {
		_ = conn.CloseLasting()
		return nil, fmt.Errorf("hook the nftables tables %s into what is sent: %w", tableName(l), err)
	}
	return removing(conn, tables...), nil
}

func addOutputDrop(conn *nftables.Conn, table *nftables.Table, hook *nftables.ChainHook, l Link) {
	accept := nftables.ChainPolicyAccept
	chain := conn.AddChain(&nftables.Chain{
		Name: "outbound", Table: table, Type: nftables.ChainTypeFilter, Policy: &accept,
		Hooknum: hook, Priority: nftables.ChainPriorityRef(fencePriority),
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIF, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(uint32(l.Index))},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
}

// MuteChanges returns every change that Mute would make, one sentence each, in order.
func (id *Identity) MuteChanges() []string {
	return []string{
		fmt.Sprintf("Leave the addresses on %s.", id.Link.Name),
		fmt.Sprintf("Drop IPv4 and ARP that %s receives and that the pod's kernel sends on it, with nftables tables %q, which go when podswitch ends.",
			id.Link.Name, tableName(id.Link)),
	}
}
