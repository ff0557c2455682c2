package vswitch

import "time"

// fromGuest handles one frame that the guest sent; the steps are at Delegate.
func (d *Delegate) fromGuest(f *Frame, now time.Duration, out *Out) {
	if len(f.Data) < ethernetLen {
		out.Drop(Short)
		return
	}
	if reason, bad := badFrame(f, false); bad {
		out.Drop(reason)
		return
	}
	if !d.cfg.PinnedMAC.IsZero() && sender(f.Data) != d.cfg.PinnedMAC {
		out.Drop(ForeignMAC)
		return
	}
	if ethertype(f.Data) == typeARP {
		d.arpFromGuest(f, now, out)
		return
	}
	d.ipFromGuest(f, now, out)
}

func (d *Delegate) arpFromGuest(f *Frame, now time.Duration, out *Out) {
	a := parseARP(f.Data)
	if a == nil {
		out.Drop(BadARP)
		return
	}
	if a.senderIP() == d.address && a.senderMAC() == sender(f.Data) {
		d.use(sender(f.Data), now, true) // to the moment: it may be the answer to a probe
	}
	// A probe has no sender (RFC 5227, section 1.1), an announcement is about its sender, and who asks for the pod address
	// asks for itself.
	if a.operation() != arpRequest || a.senderIP() == 0 || a.targetIP() == a.senderIP() || a.targetIP() == d.address {
		out.Drop(OwnARP)
		return
	}
	answerARP(f.Data, a, d.cfg.RouterMAC)
	out.Send(PortGuest, *f)
}

func (d *Delegate) ipFromGuest(f *Frame, now time.Duration, out *Out) {
	var p packet
	switch {
	case !p.parse(f.Data):
		out.Drop(BadIPv4)
	case p.isDHCP():
		d.dhcpFromGuest(f, &p, out)
	case p.source != d.address:
		out.Drop(ForeignSource)
	case !d.held(HolderGuest):
		out.Drop(NotHolder)
		d.use(sender(f.Data), now, false)
	case d.isAboutKept(f.Data, &p):
		out.Drop(KeptPort)
	case p.target == d.server:
		d.hear(sender(f.Data), now, false)
		out.Send(PortServer, *f)
	default:
		d.hear(sender(f.Data), now, false)
		d.toWire(PortGuest, f, &p, now, out)
	}
}

// isAboutKept tells whether the guest speaks for a port that is the pod's: from it, or of what was sent to it. Of an error that is in
// fragments, or quotes too little, nobody can say what it is about; and receivers do not mind which fragment is quoted.
func (d *Delegate) isAboutKept(frame []byte, p *packet) bool {
	if p.protocol == protocolTCP {
		return p.firstFragment && d.isKept(p.sourcePort)
	}
	if len(d.cfg.KeptTCP) == 0 || !p.isError(frame) {
		return false
	}
	q, ok := p.quoted(frame)
	return !ok || p.fragment || q.protocol == protocolTCP && q.target == d.address && d.isKept(q.targetPort)
}

// dhcpFromGuest passes a client's messages to the server, and nobody else's to anywhere.
func (d *Delegate) dhcpFromGuest(f *Frame, p *packet, out *Out) {
	if p.targetPort != dhcpServerPort || p.target != 0xffffffff && p.target != d.server {
		out.Drop(DHCP)
		return
	}
	out.Send(PortServer, *f)
}
