package fuzz

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

var (
	wireMAC   = vswitch.MAC{0x0a, 0x58, 0x0a, 0xf4, 1, 7}
	routerMAC = vswitch.MAC{2, 0, 0, 0, 0, 0xfe}
	guestMAC  = vswitch.MAC{2, 0, 0, 0, 0, 1}
	otherMAC  = vswitch.MAC{2, 0, 0, 0, 0, 2}
	gwMAC     = vswitch.MAC{0x0a, 0x58, 0x0a, 0xf4, 1, 1}
	peerMAC   = vswitch.MAC{0x0a, 0x58, 0x0a, 0xf4, 1, 9}
	lldpMAC   = vswitch.MAC{0x01, 0x80, 0xc2, 0, 0, 0x0e}
	groupMAC  = vswitch.MAC{0x01, 0, 0x5e, 0, 0, 1}
	noMAC     = vswitch.MAC{}

	virtualMAC = vswitch.MAC{0, 0, 0x5e, 0, 1, 7} // of a virtual router
)

// Configurations of a Delegate. The first byte of an input selects one. The addresses are those of testdata/delegate.
const (
	flannel = iota
	keptPorts
	rules
	pinned
	noARP
	permanent
	slash31
	pointToPoint
	noRoutes
	smallMTU
	routeMTU
	metrics
	wideNet
	dual // with IPv6
	delegates
)

// noGuestYet is a flag of the first byte: the switch is the holder and no guest is known, as after a start. Without it, the guest is the holder.
const noGuestYet = 128

// delegate returns the configuration for the first byte of an input.
func delegate(choice int) (c vswitch.DelegateConfig) {
	choice %= noGuestYet
	gateway := netip.MustParseAddr("10.244.1.1")
	c = vswitch.DelegateConfig{
		WireMAC: wireMAC, RouterMAC: routerMAC, Address: netip.MustParsePrefix("10.244.1.7/24"), Gateway: gateway,
		Server: netip.MustParseAddr("169.254.75.1"), MTU: 1450, GuestMTU: 1450,
		Routes: []vswitch.Route{to("0.0.0.0/0", "10.244.1.1"), to("10.244.0.0/16", "10.244.1.1"), to("10.244.1.0/24", "")},
	}
	switch choice % delegates {
	case keptPorts:
		c.KeptTCP, c.KeptUDP = []uint16{8080, 65535, 0}, []uint16{8080, 53}
		c.Rules = []vswitch.Rule{{Destination: netip.MustParsePrefix("10.9.0.0/16"), Port: 111}}
	case rules:
		c.Rules = []vswitch.Rule{
			{Destination: netip.MustParsePrefix("169.254.169.254/32"), Port: 53, Allow: true},
			{Destination: netip.MustParsePrefix("169.254.169.254/32")},
			{Destination: netip.MustParsePrefix("10.9.0.0/16"), Protocol: 6, Port: 22623},
			{Destination: netip.MustParsePrefix("10.9.0.0/16"), Port: 111},
			{Destination: netip.MustParsePrefix("fd00::/64")},
			{Destination: netip.MustParsePrefix("10.8.5.9/16")},
			{Destination: netip.MustParsePrefix("239.0.0.0/8")},
		}
	case pinned:
		c.PinnedMAC = guestMAC
	case noARP:
		c.NoARP = true
	case permanent:
		c.Permanent = []vswitch.Neighbour{{Addr: gateway, MAC: gwMAC}, {Addr: netip.MustParseAddr("10.244.1.9"), MAC: peerMAC}}
		c.KeptTCP, c.Refuse = []uint16{8080}, true
	default:
		unusual(&c, choice%delegates)
	}
	return c
}

// unusual returns a configuration with other routes.
func unusual(c *vswitch.DelegateConfig, choice int) {
	switch choice {
	case slash31:
		c.Address, c.Routes = netip.MustParsePrefix("10.0.0.0/31"), []vswitch.Route{to("10.0.0.0/31", "")}
		c.Permanent = []vswitch.Neighbour{{Addr: netip.MustParseAddr("10.0.0.1"), MAC: peerMAC}}
	case pointToPoint:
		c.Address, c.Gateway = netip.MustParsePrefix("192.168.7.7/32"), netip.MustParseAddr("169.254.1.1")
		c.Routes = []vswitch.Route{to("0.0.0.0/0", "169.254.1.1"), to("169.254.1.1/32", "")}
		c.Permanent = []vswitch.Neighbour{{Addr: c.Gateway, MAC: vswitch.MAC{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}}}
	case noRoutes:
		c.Routes, c.Gateway = []vswitch.Route{to("10.244.1.0/24", "")}, netip.Addr{}
	case smallMTU:
		c.MTU, c.GuestMTU, c.KeptTCP = 68, 68, []uint16{80}
	case routeMTU:
		c.Routes = []vswitch.Route{to("0.0.0.0/0", "10.244.1.1"), to("10.9.0.0/16", "10.244.1.1"), to("10.8.0.0/16", "10.244.1.1")}
		c.Routes[1].MTU, c.Routes[2].MTU, c.Routes[2].AdvMSS, c.GuestMTU = 1400, 9000, 1000, 1430
	case metrics:
		c.Routes = []vswitch.Route{to("0.0.0.0/0", "10.244.1.2"), to("0.0.0.0/0", "10.244.1.1"), to("10.244.1.0/24", ""),
			to("10.96.0.0/12", "10.244.1.3"), to("10.96.0.10/32", "10.244.1.4"), to("172.16.5.9/16", "10.244.1.3"),
			{Destination: netip.MustParsePrefix("fd00::/64")}}
		c.Routes[0].Metric, c.Routes[1].Metric = 100, 50
		for i := range 4 {
			c.Permanent = append(c.Permanent, vswitch.Neighbour{Addr: netip.AddrFrom4([4]byte{10, 244, 1, byte(i + 1)}), MAC: vswitch.MAC{2, 0, 0, 0, 0, byte(0x11 + i)}})
		}
	case dual:
		c.AddressIPv6, c.KeptTCP, c.KeptUDP = netip.MustParsePrefix("fd00::7/64"), []uint16{8080}, []uint16{53}
		c.Routes = append(c.Routes, to("::/0", "fe80::1"), to("fd00::/64", ""), to("2001:db8::/32", "fd00::1"), to("2001:db8:1::/48", "fd00::1"))
		c.Routes[len(c.Routes)-1].MTU = 1300
		c.Routes = append(c.Routes, vswitch.Route{Destination: netip.MustParsePrefix("2001:db8:2::/48"), Gateway: netip.MustParseAddr("fd00::1"), MTU: 1000})
		c.Permanent = []vswitch.Neighbour{{Addr: netip.MustParseAddr("fd00::9"), MAC: peerMAC}}
		c.Rules = []vswitch.Rule{{Destination: netip.MustParsePrefix("2001:db8::5/128")}, {Destination: netip.MustParsePrefix("2001:db8::/32"), Port: 22, Protocol: 6}}
		c.Advertisement = []byte{134, 0, 0, 0, 64, 0xc0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}
	case wideNet:
		c.Address, c.Routes = netip.MustParsePrefix("10.244.1.7/8"), []vswitch.Route{to("10.0.0.0/8", ""), to("0.0.0.0/0", "10.244.1.1")}
		c.MTU, c.GuestMTU = 9000, 8900
		c.Permanent = []vswitch.Neighbour{{Addr: netip.MustParseAddr("10.244.1.10"), MAC: otherMAC}}
	}
}

func to(destination, gateway string) vswitch.Route {
	r := vswitch.Route{Destination: netip.MustParsePrefix(destination)}
	if gateway != "" {
		r.Gateway = netip.MustParseAddr(gateway)
	}
	return r
}

// delegateWorld returns addresses that are likely to be useful with a configuration.
func delegateWorld(c vswitch.DelegateConfig) world {
	self := c.Address.Addr()
	ours := append([]netip.Addr{self}, addresses("10.244.1.8", "0.0.0.0", "10.244.1.1")...)
	theirs := addresses("10.0.0.1", "10.244.1.1", "10.244.1.9", "10.244.1.8", "169.254.75.1", "10.9.0.1", "10.8.0.1", "169.254.169.254",
		"255.255.255.255", "10.244.1.255", "224.0.0.1", "239.1.2.3", "127.0.0.1", "0.0.0.0", "0.1.2.3", "240.0.0.1", "10.96.0.10", "10.0.0.0",
		"169.254.1.1", "10.255.255.255", "8.8.8.8", "10.244.1.10")
	theirs = append(theirs, self)
	own, far := addresses("fd00::7", "fe80::9:9", "::", "fd00::8"), addresses("2001:db8::1", "fe80::1", "fd00::1", "fd00::9", "fe80::ff:fe00:fe", "2001:db8::5",
		"2001:db8:1::1", "ff02::1", "ff02::1:2", "ff02::1:ff00:7", "ff02::1:ff00:fe", "ff02::2", "ff02::16", "ff0e::1", "ff01::1", "::1", "fd00::5", "::ffff:10.0.0.1", "fd00::7")
	w := world{ports: 4, holder: []vswitch.MAC{noMAC, guestMAC, otherMAC, groupMAC, virtualMAC}}
	w.macs = func(port int) (from, to []vswitch.MAC) {
		guests := []vswitch.MAC{guestMAC, otherMAC, routerMAC, noMAC, groupMAC, wireMAC, virtualMAC}
		wires := []vswitch.MAC{gwMAC, peerMAC, otherMAC, noMAC, groupMAC, wireMAC}
		switch port {
		case vswitch.PortGuest:
			return guests, []vswitch.MAC{routerMAC, vswitch.Broadcast, groupMAC, lldpMAC, guestMAC}
		case vswitch.PortUplink:
			return wires, []vswitch.MAC{wireMAC, vswitch.Broadcast, groupMAC, lldpMAC, gwMAC}
		case vswitch.PortPod:
			return []vswitch.MAC{wireMAC}, append([]vswitch.MAC{noMAC}, wires...)
		}
		return []vswitch.MAC{routerMAC}, append([]vswitch.MAC{noMAC, guestMAC, vswitch.Broadcast}, guests...)
	}
	w.ips = func(port int) (from, to []netip.Addr) {
		switch port {
		case vswitch.PortUplink:
			return theirs, append(ours, theirs...)
		case vswitch.PortServer:
			return []netip.Addr{c.Server}, ours
		}
		return ours, theirs
	}
	w.ips6 = func(port int) (from, to []netip.Addr) {
		switch port {
		case vswitch.PortUplink:
			return far, append(own, far...)
		case vswitch.PortServer:
			return far[4:5], own
		}
		return own, far
	}
	w.scan = scanDelegate(c)
	return w
}

// scanDelegate returns batches that exhaust limits: packets to many hosts, from the guest or the pod, and ARP requests and replies of many
// hosts.
func scanDelegate(c vswitch.DelegateConfig) func(what, n, first int) (int, []vswitch.Frame) {
	self := c.Address.Addr().As4()
	return func(what, n, first int) (int, []vswitch.Frame) {
		port := []int{vswitch.PortGuest, vswitch.PortPod, vswitch.PortUplink, vswitch.PortUplink}[what%4]
		var frames []vswitch.Frame
		for i := range n {
			host := [4]byte{10, 1}
			binary.BigEndian.PutUint16(host[2:], uint16(first+i))
			mac := vswitch.MAC{6, 0, 0, 1, host[2], host[3]}
			if what%4 < 2 {
				sender := [2]vswitch.MAC{guestMAC, wireMAC}[what%4]
				frames = append(frames, vswitch.Frame{Data: append(ethernet(routerMAC, sender, 0x0800), udpPacket(self, host)...)})
				continue
			}
			operation := byte(what%4 - 1) // a request for the pod address, or a reply to it
			b := append(ethernet(wireMAC, mac, 0x0806), 0, 1, 8, 0, 6, 4, 0, operation)
			b = append(append(append(b, mac[:]...), host[:]...), wireMAC[:]...)
			frames = append(frames, vswitch.Frame{Data: append(b, self[:]...)})
		}
		return port, frames
	}
}

func ethernet(to, from vswitch.MAC, ethertype uint16) []byte {
	return binary.BigEndian.AppendUint16(append(append([]byte{}, to[:]...), from[:]...), ethertype)
}

// udpPacket returns a UDP packet without data.
func udpPacket(from, to [4]byte) []byte {
	b := []byte{0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0}
	b = append(append(b, from[:]...), to[:]...)
	binary.BigEndian.PutUint16(b[10:], vnet.Checksum(b, 0))
	return append(b, 0, 1, 0, 2, 0, 8, 0, 0)
}

// Configurations of a Bridge. Scans from scanTo on vary the destination instead of the source.
const (
	probeID = 0x0102030405060708
	bridges = 7
	scanTo  = 128
)

func bridge(choice int) vswitch.BridgeConfig {
	c := vswitch.BridgeConfig{Ports: 3, Limit: vswitch.DefaultStations}
	switch choice % bridges {
	case 1: // as in a pod
		c.Ports, c.Upstream, c.MaxFrame = 2, 1, 1514
	case 2:
		c.Limit, c.Ageing, c.Upstream = 2, time.Minute, 2
		c.GroupForward = 1 << lldpMAC[5]
	case 3:
		c.PinnedPort, c.Pinned, c.Upstream = 0, guestMAC, 1
	case 4:
		c.Ports, c.MaxFrame = 1, 60
	case 5:
		c.Ports, c.MaxFrame, c.Limit, c.Ageing = 5, 1514, 64, 500*time.Millisecond
	case 6:
		c.ProbeID, c.PinnedPort, c.Pinned = probeID, 2, guestMAC
	}
	return c
}

func bridgeWorld(c vswitch.BridgeConfig) world {
	macs := []vswitch.MAC{guestMAC, otherMAC, gwMAC, peerMAC, vswitch.Broadcast, groupMAC, lldpMAC, noMAC, {1, 0x80, 0xc2, 0, 0, 0x10}, {1, 0x80, 0xc2}}
	hosts := addresses("10.0.0.1", "10.0.0.2", "224.0.0.1")
	return world{
		ports: c.Ports, holder: macs,
		macs: func(port int) (from, to []vswitch.MAC) {
			return append(macs[port%4:], macs...), append(macs[(port+1)%4:], macs...)
		},
		ips: func(int) (from, to []netip.Addr) { return hosts, hosts },
		scan: func(what, n, first int) (int, []vswitch.Frame) {
			var frames []vswitch.Frame
			for i := range n {
				to, from := vswitch.Broadcast, vswitch.MAC{6, 0, 0, 1, byte((first + i) >> 8), byte(first + i)}
				if what >= scanTo {
					to, from = from, peerMAC
				}
				frames = append(frames, vswitch.Frame{Data: append(ethernet(to, from, 0x88b5), 1, 2, 3)})
			}
			return what % scanTo % c.Ports, frames
		},
	}
}
