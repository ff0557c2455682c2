package fuzz

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// Addresses of the configuration "dual".
const (
	podIPv6, farIPv6, deniedIPv6, peerIPv6 = "fd00::7", "2001:db8::1", "2001:db8::5", "fd00::5"
	routerIPv6, guestLink, gatewayIPv6     = "fe80::ff:fe00:fe", "fe80::9:9", "fd00::1"
)

// ipv6Frame returns a frame with an IPv6 packet, whose body begins with a header of the given type.
func ipv6Frame(to, from vswitch.MAC, source, target string, next, hops byte, body []byte) vswitch.Frame {
	b := append(ethernet(to, from, 0x86dd), 0x60, 0, 0, 0, byte(len(body)>>8), byte(len(body)), next, hops)
	b = append(append(b, netip.MustParseAddr(source).AsSlice()...), netip.MustParseAddr(target).AsSlice()...)
	return vswitch.Frame{Data: append(b, body...)}
}

// icmpv6 returns a frame with an ICMPv6 message and its checksum.
func icmpv6(to, from vswitch.MAC, source, target string, hops byte, message ...byte) vswitch.Frame {
	f := ipv6Frame(to, from, source, target, 58, hops, message)
	sum := vnet.Checksum(f.Data[54:], vnet.PseudoSum(f.Data[22:38], f.Data[38:54], 58, len(message)))
	binary.BigEndian.PutUint16(f.Data[56:], sum)
	return f
}

// ndMessage returns a message of neighbour discovery with a target; the zero MAC: without an option.
func ndMessage(kind, flags byte, target string, link vswitch.MAC) []byte {
	b := append([]byte{kind, 0, 0, 0, flags, 0, 0, 0}, netip.MustParseAddr(target).AsSlice()...)
	if link == noMAC {
		return b
	}
	return append(append(b, kind-134, 1), link[:]...) // 1: source, 2: target
}

func fromGuest6(source, target string, message ...byte) vswitch.Frame {
	return icmpv6(routerMAC, guestMAC, source, target, 255, message...)
}

func fromWire6(from vswitch.MAC, source, target string, message ...byte) vswitch.Frame {
	return icmpv6(wireMAC, from, source, target, 255, message...)
}

// plain6 returns a UDP datagram of the guest.
func plain6(target string, size int) vswitch.Frame {
	return ipv6Frame(routerMAC, guestMAC, podIPv6, target, 17, 64, append([]byte{0, 1, 0, 2, byte((size + 8) >> 8), byte(size + 8), 0, 0}, make([]byte, size)...))
}

// states6 are seeds for IPv6.
var states6 = []seed{
	{"the guest solicits its router, a neighbour, itself, and detects duplicates", func(w *writer) {
		for _, source := range []string{guestLink, podIPv6, "::"} {
			for _, target := range []string{routerIPv6, peerIPv6, podIPv6, guestLink} {
				link := guestMAC
				if source == "::" {
					link = noMAC
				}
				group := vnet.SolicitedNode(netip.MustParseAddr(target).As16())
				f := fromGuest6(source, netip.AddrFrom16(group).String(), ndMessage(135, 0, target, link)...)
				w.raw(vswitch.PortGuest, 1, f)
				f.Data[21] = 254
				w.raw(vswitch.PortGuest, 1, f)
				f.Data[21], f.Data[60] = 255, f.Data[60]+1
				w.raw(vswitch.PortGuest, 1, f)
			}
			w.raw(vswitch.PortGuest, 1, fromGuest6(source, "ff02::2", 133, 0, 0, 0, 0, 0, 0, 0))
		}
	}},
	{"router advertisements, every 400 seconds", func(w *writer) {
		for _, pause := range []time.Duration{0, time.Second, 399*time.Second - time.Millisecond, time.Millisecond, time.Second} {
			w.wait(pause)
			w.tick()
		}
	}},
	{"announcements of the guest, and what only routers and listeners send", func(w *writer) {
		w.hand(vswitch.HolderSwitch, noMAC)
		for _, target := range []string{podIPv6, guestLink} {
			for _, link := range []vswitch.MAC{guestMAC, noMAC, otherMAC} {
				w.wait(time.Second)
				w.raw(vswitch.PortGuest, 1, fromGuest6(guestLink, "ff02::1", ndMessage(136, 0x20, target, link)...))
				w.raw(vswitch.PortUplink, 1, fromWire6(otherMAC, peerIPv6, podIPv6, ndMessage(136, 0x60, target, link)...))
			}
		}
		for _, kind := range []byte{130, 131, 132, 134, 137, 141, 142, 143, 148, 149, 151, 152, 153, 138, 128, 64} {
			w.raw(vswitch.PortGuest, 1, fromGuest6(podIPv6, farIPv6, kind, 0, 0, 0, 0, 0, 0, 0))
			w.raw(vswitch.PortUplink, 1, fromWire6(gwMAC, farIPv6, podIPv6, kind, 0, 0, 0, 0, 0, 0, 0))
			w.raw(vswitch.PortPod, 1, icmpv6(gwMAC, wireMAC, podIPv6, farIPv6, 64, kind, 0, 0, 0, 0, 0, 0, 0))
		}
	}},
	{"a next hop is solicited, confirmed, kept, replaced, and given up", func(w *writer) {
		answer := func(from vswitch.MAC, flags byte, link vswitch.MAC) {
			w.raw(vswitch.PortUplink, 1, fromWire6(from, gatewayIPv6, podIPv6, ndMessage(136, flags, gatewayIPv6, link)...))
			w.raw(vswitch.PortGuest, 1, plain6(farIPv6, 1))
		}
		w.raw(vswitch.PortGuest, 2, plain6(farIPv6, 1))
		answer(gwMAC, 0x40, noMAC)
		answer(gwMAC, 0x60, gwMAC)
		w.wait(2 * time.Second)
		answer(peerMAC, 0x40, peerMAC)
		w.wait(28 * time.Second)
		answer(gwMAC, 0x40, noMAC)
		w.wait(29 * time.Second)
		answer(otherMAC, 0x20, otherMAC)
		w.wait(31 * time.Second)
		answer(gwMAC, 0, noMAC)
		w.raw(vswitch.PortGuest, 1, plain6("2001:4860::1", 1)) // by fe80::1
		w.raw(vswitch.PortGuest, 1, plain6("fd00::12:3456", 1))
		for range 4 {
			w.wait(time.Second)
			w.tick()
		}
	}},
	{"the wire solicits the pod address", func(w *writer) {
		for _, holder := range []vswitch.Holder{vswitch.HolderGuest, vswitch.HolderSwitch, vswitch.HolderKernel} {
			w.hand(holder, guestMAC)
			for _, source := range []string{gatewayIPv6, "fe80::1", peerIPv6, "::"} {
				link := gwMAC
				if source == "::" {
					link = noMAC
				}
				w.raw(vswitch.PortUplink, 1, fromWire6(gwMAC, source, "ff02::1:ff00:7", ndMessage(135, 0, podIPv6, link)...))
				w.raw(vswitch.PortUplink, 1, fromWire6(gwMAC, source, "ff02::1:ff00:7", ndMessage(135, 0, "fd00:1::7", link)...))
			}
		}
		w.raw(vswitch.PortUplink, 1, icmpv6(wireMAC, wireMAC, podIPv6, "ff02::1:ff00:1", 255, ndMessage(135, 0, gatewayIPv6, wireMAC)...))
		w.raw(vswitch.PortUplink, 1, fromWire6(wireMAC, "fd00::8", podIPv6, 128, 0, 0, 0, 0, 0, 0, 0))
		w.hand(vswitch.HolderGuest, guestMAC)
		w.raw(vswitch.PortGuest, 1, plain6(peerIPv6, 1))
	}},
	{"sizes, addresses, rules, extension headers and DHCPv6", func(w *writer) {
		w.raw(vswitch.PortUplink, 1, fromWire6(gwMAC, gatewayIPv6, podIPv6, ndMessage(135, 0, podIPv6, gwMAC)...))
		for _, target := range []string{farIPv6, "2001:db8:1::1", "2001:db8:2::1", deniedIPv6, "ff0e::1", "ff01::1", "::1", "fe80::5", routerIPv6, podIPv6, "fd00::9"} {
			for _, size := range []int{1, 1000, 1252, 1253, 1402, 1403} {
				w.raw(vswitch.PortGuest, 1, plain6(target, size))
			}
			w.raw(vswitch.PortGuest, 1, ipv6Frame(routerMAC, guestMAC, guestLink, target, 17, 64, []byte{0, 1, 0, 2, 0, 8, 0, 0}))
			w.raw(vswitch.PortUplink, 1, ipv6Frame(wireMAC, gwMAC, target, podIPv6, 17, 64, []byte{0, 1, 0, 2, 0, 8, 0, 0}))
			w.raw(vswitch.PortUplink, 1, ipv6Frame(wireMAC, gwMAC, farIPv6, target, 17, 64, []byte{0, 1, 0, 2, 0, 8, 0, 0}))
			w.raw(vswitch.PortGuest, 1, ipv6Frame(routerMAC, guestMAC, podIPv6, target, 43, 64, append([]byte{17, 0, 0, 1, 0, 0, 0, 0}, 0, 1, 0, 2, 0, 8, 0, 0)))
			w.raw(vswitch.PortGuest, 1, ipv6Frame(routerMAC, guestMAC, podIPv6, target, 44, 64, append([]byte{6, 0, 0, 8, 0, 0, 0, 0}, make([]byte, 30)...)))
			w.raw(vswitch.PortGuest, 1, ipv6Frame(routerMAC, guestMAC, podIPv6, target, 6, 64, tcpHeader(0x02, "\x02\x04\x05\xb4")))
		}
		for _, target := range []string{"ff02::1:2", routerIPv6, farIPv6} {
			for _, ports := range [][]byte{{2, 0x22, 2, 0x23}, {2, 0x23, 2, 0x22}, {0, 7, 2, 0x23}, {2, 0x23, 0, 7}} {
				w.raw(vswitch.PortGuest, 1, ipv6Frame(routerMAC, guestMAC, guestLink, target, 17, 1, append(append([]byte{}, ports...), 0, 8, 0, 0)))
				w.raw(vswitch.PortGuest, 1, ipv6Frame(routerMAC, guestMAC, podIPv6, target, 17, 1, append(append([]byte{}, ports...), 0, 8, 0, 0)))
				w.raw(vswitch.PortUplink, 1, ipv6Frame(wireMAC, gwMAC, target, podIPv6, 17, 1, append(append([]byte{}, ports...), 0, 8, 0, 0)))
			}
		}
		w.raw(vswitch.PortServer, 1, ipv6Frame(noMAC, routerMAC, routerIPv6, guestLink, 17, 1, []byte{2, 0x23, 2, 0x22, 0, 8, 0, 0}))
	}},
	{"kept ports, and errors about them", func(w *writer) {
		for _, port := range []byte{0x90, 0x91} { // 8080, 8081
			segment := tcpHeader(0x02, "")
			segment[2], segment[3] = 0x1f, port
			w.raw(vswitch.PortUplink, 1, ipv6Frame(wireMAC, gwMAC, farIPv6, podIPv6, 6, 64, segment))
			segment = tcpHeader(0x10, "")
			segment[0], segment[1] = 0x1f, port
			w.raw(vswitch.PortGuest, 1, ipv6Frame(routerMAC, guestMAC, podIPv6, farIPv6, 60, 64, append([]byte{6, 0, 1, 4, 0, 0, 0, 0}, segment...)))
			quote := ipv6Frame(noMAC, noMAC, podIPv6, farIPv6, 60, 64, append([]byte{6, 0, 1, 4, 0, 0, 0, 0}, segment...)).Data[14:]
			w.raw(vswitch.PortUplink, 1, fromWire6(gwMAC, farIPv6, podIPv6, append([]byte{2, 0, 0, 0, 0, 0, 5, 0}, quote...)...))
			w.raw(vswitch.PortUplink, 1, fromWire6(gwMAC, farIPv6, podIPv6, append([]byte{2, 0, 0, 0, 0, 0, 5, 0}, quote[:47]...)...))
		}
	}},
}
