package oracle

import (
	"bytes"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// fromGuest has the steps of the comment on vswitch.Delegate, "Frames from the guest".
func (c *call) fromGuest(f vswitch.Frame) {
	// 1. validate, 2. ethertype
	var possible bool
	f = untagged(f)
	f.Offload, possible = Exact(f.Offload, f.Data)
	f = settled(f, possible)
	if reason, bad := fault(f, possible, false); bad {
		c.refuse(reason)
		return
	}
	if c.Family = c.d.of(f.Data); c.Family == nil {
		c.refuse(vswitch.Ethertype)
		return
	}
	from := source(f.Data)
	if !isNobody(c.cfg.PinnedMAC) && from != c.cfg.PinnedMAC {
		c.refuse(vswitch.ForeignMAC)
		return
	}
	// 3. ARP
	if kind(f.Data) == typeARP {
		c.arpFromGuest(f)
		return
	}
	// 4. IPv4
	p, ok := readPacket(f.Data)
	switch {
	case !ok:
		c.refuse(c.malformed())
	case p.isOfLink():
		c.linkFromGuest(f, p)
	case p.isDHCP() && !c.isRelayed(f, p, 2) && p.isToServer(c.server):
		c.toServer(f)
	case p.isDHCP() && !c.isRelayed(f, p, 2):
		c.refuse(vswitch.DHCP)
	case c.six && p.source.IsLinkLocalUnicast() && p.target == c.server:
		c.toServer(f)
	case c.six && p.source.IsLinkLocalUnicast():
		c.refuse(vswitch.LinkLocal)
	case p.source != c.self:
		c.refuse(vswitch.ForeignSource)
	case c.holder != vswitch.HolderGuest:
		c.refuse(vswitch.NotHolder)
		c.use(from, false)
	case p.first && c.isKept(p.protocol, p.from), c.isAboutKept(p):
		c.refuse(vswitch.KeptPort)
		c.sendError(f, 13, 0) // communication administratively prohibited
	// 5. to the server's address
	case p.target == c.server:
		c.use(from, false)
		c.toServer(f)
	// 6. to the wire
	default:
		c.use(from, false)
		c.toWire(f, p)
	}
}

// toServer sends to the server, which answers to the MAC that has asked last.
func (c *call) toServer(f vswitch.Frame) {
	if c.six {
		c.d.client = source(f.Data)
	}
	c.send(vswitch.PortServer, f)
}

// isKept reports whether a port stays with the pod.
func (c *call) isKept(protocol byte, port int) bool {
	switch protocol {
	case tcp:
		return c.kept[port]
	case udp:
		return c.keptUDP[port]
	}
	return false
}

// isAboutKept reports whether the packet is an ICMP error about a packet to a kept port, or may be one.
func (c *call) isAboutKept(p packet) bool {
	if !p.isError() || len(c.kept)+len(c.keptUDP) == 0 {
		return false
	}
	q, ok := p.quoted()
	return !ok || p.fragment || q.target == c.self && c.isKept(q.protocol, q.to)
}

// arpFromGuest answers for every address but the guest's own. ARP with the pod address as its sender is a use of the address.
func (c *call) arpFromGuest(f vswitch.Frame) {
	a, ok := readARP(f.Data)
	if !ok {
		c.refuse(vswitch.BadARP)
		return
	}
	if a.senderIP == c.self && a.senderMAC == source(f.Data) {
		c.use(a.senderMAC, true)
	}
	probe, announcement := a.senderIP.IsUnspecified(), a.targetIP == a.senderIP
	if a.operation != request || probe || announcement || a.targetIP == c.self {
		c.refuse(vswitch.OwnARP)
		return
	}
	answer := arp{reply, c.cfg.RouterMAC, a.senderMAC, a.targetIP, a.senderIP}
	rest := f.Data[ethernetHeader+arpPacket:]
	f.Data = append(frame(a.senderMAC, c.cfg.RouterMAC, typeARP, answer.bytes()), rest...)
	c.send(vswitch.PortGuest, f)
}

// use notes which MAC uses the address, and when: exactly, or ten times a second. It counts uses by a guest that is not the holder. The MAC of
// a virtual router (00:00:5e:00:01:xx, of IPv6 00:00:5e:00:02:xx) does not become the guest's.
func (c *call) use(mac vswitch.MAC, exact bool) {
	if mac != c.guest && (bytes.HasPrefix(mac[:], []byte{0, 0, 0x5e, 0, 1}) || bytes.HasPrefix(mac[:], []byte{0, 0, 0x5e, 0, 2})) {
		return
	}
	if exact || mac != c.guest || c.lastUse == nil || c.now-*c.lastUse >= time.Second/10 {
		c.lastUse = &c.now
	}
	c.guest = mac
	if c.holder != vswitch.HolderGuest {
		c.Used++
	}
}
