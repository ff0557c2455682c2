package podnet

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The way out of the pod's own processes while the address is taken: a tap whose other end is a port of the switch, with an address of its own,
// and with the routes of the pod interface. It is no persistent tap: the kernel removes it, its address and its routes, when the last process
// closes it. A switch that does not end would keep it so, and what the pod's processes send: the keeper removes it, or the watchdog.
//
// A route to lo would not do, although packet sockets see what it carries: the kernel delivers such packets to sockets that are bound to no
// address (RTCF_LOCAL in __mkroute_output, net/ipv4/route.c), so that a name server would receive its own questions. On the pod interface,
// what has another source than the pod address would leave the pod.

// tunDevice is the device that makes taps.
const tunDevice = "/dev/net/tun"

// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE (linux/if_link.h).
const addrGenModeNone = 1

// loopbackIndex is LOOPBACK_IFINDEX (net/flow.h of Linux).
const loopbackIndex = 1

// egressMetric is the metric of the routes through the tap: the kernel prefers every other route to the same destination.
const egressMetric = math.MaxUint32

// Egress describes the way out of a pod.
type Egress struct {
	Device  string         `json:"device"`  // the name of the tap
	Address netip.Addr     `json:"address"` // of the pod's processes there, IPv4
	MAC     MAC            `json:"mac"`     // of the tap
	Routes  []netip.Prefix `json:"routes"`  // IPv4 destinations
}

// NewEgress returns the way out of a pod with an address and a MAC that nothing else uses. If the pod address stays on the interface, the routes there
// stay, too, and the way out has the two halves of each destination, which are preferred as more specific; that of a single host has none.
func NewEgress(id *Identity, address netip.Addr, mac MAC, mute bool) *Egress {
	e := &Egress{Device: egressDevice(id), Address: address, MAC: mac}
	for _, r := range id.UplinkRoutes(IPv4) {
		for _, destination := range egressDestinations(r.Dst, mute) {
			if !slices.Contains(e.Routes, destination) {
				e.Routes = append(e.Routes, destination)
			}
		}
	}
	return e
}

func egressDestinations(p netip.Prefix, mute bool) []netip.Prefix {
	switch {
	case !mute:
		return []netip.Prefix{p.Masked()}
	case p.IsSingleIP():
		return nil
	}
	lower := p.Masked().Addr().As4()
	upper := lower
	upper[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4(lower), p.Bits()+1), netip.PrefixFrom(netip.AddrFrom4(upper), p.Bits()+1)}
}

// egressDevice returns the name of the tap for a pod interface.
func egressDevice(id *Identity) string { return fmt.Sprintf("podswitch%d", id.Link.Index) }

// CanMakeTaps returns an error unless this process may open the device that makes taps.
func CanMakeTaps() error {
	f, err := os.OpenFile(tunDevice, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// Configure gives the tap, which the caller has opened, its MAC, address and routes, and sets it up without ARP: the kernel then sends to the tap's own MAC.
func (e *Egress) Configure() error {
	link, err := netlink.LinkByName(e.Device)
	if err != nil {
		return explain("find "+e.Device, err)
	}
	_ = netlink.LinkSetIP6AddrGenMode(link, addrGenModeNone) // else the kernel announces itself there, which the switch drops
	err = errors.Join(netlink.LinkSetHardwareAddr(link, e.MAC[:]), netlink.LinkSetARPOff(link), netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(e.Address, 32))}),
		netlink.LinkSetUp(link))
	if err != nil {
		return explain("configure "+e.Device, err)
	}
	for _, destination := range e.Routes {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(destination), Src: e.Address.AsSlice(), Scope: netlink.SCOPE_LINK, Priority: egressMetric}
		if err := netlink.RouteReplace(route); err != nil {
			return explain(fmt.Sprintf("route %s through %s", destination, e.Device), err)
		}
	}
	return nil
}

// Fence keeps what arrives elsewhere from the address of the way out, until the result is closed or the process ends: on every other interface the kernel
// would answer ARP requests for the address and deliver packets to it, to any process that listens at 0.0.0.0. Call it before Configure. It
// requires nf_tables, with the families ip and arp.
func (e *Egress) Fence() (io.Closer, error) {
	link, err := netlink.LinkByName(e.Device)
	if err != nil {
		return nil, explain("find "+e.Device, err)
	}
	l := Link{Name: e.Device, Index: link.Attrs().Index}
	return addTables(l, []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyARP}, func(conn *nftables.Conn, table *nftables.Table) {
		if table.Family == nftables.TableFamilyARP {
			addRule(conn, addChain(conn, table, "inbound", nftables.ChainHookRef(arpInput), receivedPriority), expr.VerdictDrop, isOperation(arpRequest), isTarget(e.Address))
			return
		}
		chain := addChain(conn, table, "inbound", nftables.ChainHookPrerouting, receivedPriority)
		for _, from := range []Link{l, {Index: loopbackIndex}} {
			addRule(conn, chain, expr.VerdictAccept, isReceivedBy(from), isDestination(e.Address))
		}
		addRule(conn, chain, expr.VerdictDrop, isDestination(e.Address))
	})
}

// RemoveTap removes the tap whose descriptor this process has, with its address and routes, whoever else has the tap open: their descriptors
// have no device then.
func RemoveTap(fd int) error {
	request, err := unix.NewIfreq("")
	if err == nil {
		err = os.NewSyscallError("TUNGETIFF", unix.IoctlIfreq(fd, unix.TUNGETIFF, request))
	}
	if errors.Is(err, unix.EBADFD) { // it was removed
		return nil
	}
	if err != nil {
		return err
	}
	link, err := netlink.LinkByName(request.Name())
	if err == nil {
		err = netlink.LinkDel(link)
	}
	return explain("remove "+request.Name(), err)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
