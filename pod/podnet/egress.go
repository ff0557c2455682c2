package podnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
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

	uplink     Link         // the pod interface
	broadcasts []netip.Addr // its IPv4 broadcast addresses
}

// NewEgress returns the way out of a pod with an address and a MAC that nothing else uses. If the pod address stays on the interface, the routes there
// stay, too, and the way out has the two halves of each destination, which are preferred as more specific; that of a single host has none.
func NewEgress(id *Identity, address netip.Addr, mac MAC, mute bool) *Egress {
	e := &Egress{Device: egressDevice(id), Address: address, MAC: mac, uplink: id.Link}
	for _, a := range id.Addresses {
		if a.Prefix.Addr().Is4() {
			e.broadcasts = append(e.broadcasts, broadcastsOf(a)...)
		}
	}
	for _, r := range id.UplinkRoutes(IPv4) {
		for _, destination := range egressDestinations(r.Dst, mute) {
			if !slices.Contains(e.Routes, destination) {
				e.Routes = append(e.Routes, destination)
			}
		}
	}
	return e
}

// broadcastsOf returns the broadcast addresses that the kernel has for an IPv4 address: the configured one, and the last one of the subnet.
func broadcastsOf(a Address) (all []netip.Addr) {
	if a.Broadcast.IsValid() {
		all = append(all, a.Broadcast)
	}
	if bits := a.Prefix.Bits(); bits < 31 {
		last := a.Prefix.Addr().As4()
		binary.BigEndian.PutUint32(last[:], binary.BigEndian.Uint32(last[:])|^uint32(0)>>bits)
		all = append(all, netip.AddrFrom4(last))
	}
	return all
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
	e.disableIPv6()
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

// disableIPv6 keeps the kernel from learning addresses and routes of IPv6 from a switch that was broken into. In most containers the setting cannot
// be written: Fence has the same effect.
func (e *Egress) disableIPv6() {
	f, err := os.OpenFile("/proc/sys/net/ipv6/conf/"+e.Device+"/disable_ipv6", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	_, _ = f.WriteString("1")
	_ = f.Close()
}

// Fence keeps what arrives elsewhere from the address of the way out, until the result is closed or the process ends: on every other interface the kernel
// would answer ARP requests for the address and deliver packets to it, to any process that listens at 0.0.0.0. Such a process also receives groups and
// broadcasts of the pod interface, and its answers would leave by the way out and begin flows: Fence drops UDP there that is for no address of the
// interface, but for messages to a DHCP client. On the tap itself, no IPv6 arrives: the kernel would take up every prefix and the default route of a
// router advertisement. Call Fence before Configure. It requires nf_tables, with the families ip, arp, and ip6 if the kernel has IPv6. Where the kernel
// cannot look addresses up (nft_fib_ipv4), only groups and broadcasts are dropped.
func (e *Egress) Fence() (io.Closer, error) {
	link, err := netlink.LinkByName(e.Device)
	if err != nil {
		return nil, explain("find "+e.Device, err)
	}
	l := Link{Name: e.Device, Index: link.Attrs().Index}
	fence, err := e.addFence(l, [][]expr.Any{isNotOfInterface()})
	if err != nil {
		return e.addFence(l, e.groupsAndBroadcasts())
	}
	return fence, nil
}

// addFence adds the tables of Fence. UDP at the pod interface is dropped if one of the conditions holds.
func (e *Egress) addFence(l Link, isForOthers [][]expr.Any) (io.Closer, error) {
	families := []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyARP}
	if _, err := os.Stat(ipv6Path); err == nil {
		families = append(families, nftables.TableFamilyIPv6)
	}
	return addTables(l, families, func(conn *nftables.Conn, table *nftables.Table) {
		switch table.Family {
		case nftables.TableFamilyARP:
			addRule(conn, addChain(conn, table, "inbound", nftables.ChainHookRef(arpInput), receivedPriority), expr.VerdictDrop, isOperation(arpRequest), isTarget(e.Address))
		case nftables.TableFamilyIPv6:
			addRule(conn, addChain(conn, table, "inbound", nftables.ChainHookPrerouting, receivedPriority), expr.VerdictDrop, isReceivedBy(l))
		default:
			e.addIPv4Fence(conn, table, l, isForOthers)
		}
	})
}

// ipv6Path exists if the kernel has IPv6.
const ipv6Path = "/proc/net/if_inet6"

func (e *Egress) addIPv4Fence(conn *nftables.Conn, table *nftables.Table, l Link, isForOthers [][]expr.Any) {
	chain := addChain(conn, table, "inbound", nftables.ChainHookPrerouting, receivedPriority)
	for _, from := range []Link{l, {Index: loopbackIndex}} {
		addRule(conn, chain, expr.VerdictAccept, isReceivedBy(from), isDestination(e.Address))
	}
	addRule(conn, chain, expr.VerdictDrop, isDestination(e.Address))
	local := addChain(conn, table, "local", nftables.ChainHookInput, receivedPriority) // which forwarded packets do not pass
	addRule(conn, local, expr.VerdictAccept, isReceivedBy(e.uplink), isUDP(67, 68))
	for _, condition := range isForOthers {
		addRule(conn, local, expr.VerdictDrop, isReceivedBy(e.uplink), isField(9, []byte{unix.IPPROTO_UDP}), condition)
	}
}

// isNotOfInterface matches packets whose destination is no address of the interface that has received them.
func isNotOfInterface() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, FlagIIF: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

// groupsAndBroadcasts matches, one by one, the destinations of many hosts.
func (e *Egress) groupsAndBroadcasts() [][]expr.Any {
	all := [][]expr.Any{isDestination(netip.AddrFrom4([4]byte{255, 255, 255, 255})), {
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{0xf0}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0xe0}},
	}}
	for _, b := range e.broadcasts {
		all = append(all, isDestination(b))
	}
	return all
}

// RemoveTap removes the tap whose descriptor this process has, with its address and routes, also if other processes have the tap open: their descriptors
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
