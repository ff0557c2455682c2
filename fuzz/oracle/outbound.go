package oracle

import (
	"encoding/binary"
	"net/netip"

	"github.com/podswitch/podswitch/vswitch"
)

// toWire sends a packet of the guest or the pod endpoint to the wire: rules, next hop, size, neighbour.
func (c *call) toWire(f vswitch.Frame, p packet) {
	switch {
	case isMartian(p.target):
		c.refuse(vswitch.Martian)
	case c.six && p.target.IsLinkLocalUnicast():
		c.refuse(vswitch.LinkLocal)
	case p.target == c.self:
		c.refuse(vswitch.Hairpin)
	case (c.in == vswitch.PortGuest || p.protocol == udp) && c.isDenied(p):
		c.refuse(vswitch.Denied)
		c.sendError(f, 13, 0) // communication administratively prohibited
	case isGroupIP(p.target):
		c.toGroup(f, p, groupMAC(p.target))
	case c.isBroadcast(p.target):
		c.toGroup(f, p, vswitch.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	default:
		c.toHost(f, p)
	}
}

func (c *call) toHost(f vswitch.Frame, p packet) {
	nextHop, mtu, ok := c.route(p.target)
	if !ok {
		c.refuse(vswitch.NoRoute)
		c.sendError(f, 0, 0) // net unreachable
		return
	}
	if f = trimmed(f, p, mtu); c.fits(f, mtu) {
		c.toNeighbour(clamped(f, p, c.segmentTo(p.target, mtu)), nextHop)
		return
	}
	if p.whole || f.Offload.GSOType != noGSO {
		c.refuse(vswitch.TooBig)
		c.sendError(f, 4, mtu) // fragmentation needed
		return
	}
	c.cut(f, mtu, func(piece vswitch.Frame) { c.toNeighbour(piece, nextHop) })
}

// toGroup sends a packet to a group or broadcast address, without a next hop and without ICMP errors.
func (c *call) toGroup(f vswitch.Frame, p packet, to vswitch.MAC) {
	send := func(f vswitch.Frame) { c.send(vswitch.PortUplink, readdressed(f, to, c.cfg.WireMAC)) }
	f = trimmed(f, p, c.cfg.MTU)
	switch {
	case c.fits(f, c.cfg.MTU):
		send(f)
	case p.whole || f.Offload.GSOType != noGSO:
		c.refuse(vswitch.TooBig)
		c.sendError(f, 4, c.cfg.MTU)
	default:
		c.cut(f, c.cfg.MTU, send)
	}
}

// trimmed returns a frame without its Ethernet padding if only the padding exceeds mtu, and with smaller fragments if they may be.
func trimmed(f vswitch.Frame, p packet, mtu int) vswitch.Frame {
	if !p.whole {
		f = lowered(f, ethernetHeader+mtu)
	}
	length := ethernetHeader + len(p.header) + len(p.segment)
	if f.Offload.Flags&needsChecksum == 0 && len(f.Data) > ethernetHeader+mtu && length <= ethernetHeader+mtu {
		f.Data = f.Data[:length]
	}
	return f
}

func (c *call) fits(f vswitch.Frame, mtu int) bool {
	return wireLength(f.Offload, f.Data) <= ethernetHeader+mtu
}

// cut sends a frame in fragments and counts the additional frames.
func (c *call) cut(f vswitch.Frame, mtu int, send func(vswitch.Frame)) {
	pieces, ok := fragments(f, mtu)
	if !ok {
		c.refuse(vswitch.TooBig)
		return
	}
	c.Made-- // the frame itself does not leave
	for _, piece := range pieces {
		c.Made++
		if c.room < ethernetHeader+mtu {
			c.refuse(vswitch.NoBuffer)
			return
		}
		c.reserve(len(piece))
		send(vswitch.Frame{Data: piece})
	}
}

// sendError sends ICMP destination unreachable to the sender of a frame, unless RFC 1122, section 3.2.2, forbids it. The error quotes at
// most 488 bytes behind the IP header.
func (c *call) sendError(f vswitch.Frame, code byte, mtu int) {
	p, ok := readPacket(f.Data)
	if ok && p.six {
		c.sendError6(f, p, code, mtu)
		return
	}
	if !ok || !p.first || p.isError() || isGroupIP(p.target) || c.isBroadcast(p.target) {
		return
	}
	message := []byte{3, code, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}
	message = append(append(message, p.header...), p.segment[:min(len(p.segment), 488)]...)
	binary.BigEndian.PutUint16(message[2:], checksum(message))
	from := c.router
	ip := []byte{0x45, 0xc0, 0, 0, 0, 0, 0, 0, 64, icmp, 0, 0}
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(message)))
	ip = append(append(ip, from.AsSlice()...), p.source.AsSlice()...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	data := frame(source(f.Data), c.cfg.RouterMAC, typeIPv4, append(ip, message...))
	if !c.reserve(len(data)) {
		c.NoRoom = append(c.NoRoom, Sent{c.in, vswitch.Frame{Data: data}})
		return
	}
	c.Made++
	c.send(c.in, vswitch.Frame{Data: data})
}

// groupMAC maps an IPv4 group to its Ethernet address (RFC 1112, section 6.4).
func groupMAC(a netip.Addr) vswitch.MAC {
	if a.Is6() { // RFC 2464, section 7
		b := a.As16()
		return vswitch.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
	}
	b := a.As4()
	return vswitch.MAC{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
}
