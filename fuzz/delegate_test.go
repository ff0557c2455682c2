package fuzz

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/podswitch/podswitch/fuzz/oracle"
	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// FuzzDelegate checks a Delegate with any frames at its four ports in any order, with time between them and changes of the holder. The oracle
// agrees on every frame and reason. No forbidden frame leaves. Every frame is sent, counted as a drop, noted or held.
func FuzzDelegate(f *testing.F) {
	for _, s := range delegateSeeds(f) {
		f.Add(s.input)
	}
	desk := newDesk()
	f.Fuzz(func(t *testing.T, b []byte) { runDelegate(t, desk, b) })
}

func runDelegate(t testing.TB, desk *desk, b []byte) {
	in := newReader(b)
	choice := in.byte()
	cfg := delegate(choice)
	d := newDelegateRig(t, desk, cfg)
	if choice < noGuestYet {
		d.do(step{op: opHand, holder: vswitch.HolderGuest, mac: guestMAC})
	}
	for _, s := range decode(in, delegateWorld(cfg)) {
		d.do(s)
	}
	d.close()
}

// A delegateRig is a Delegate with its oracle.
type delegateRig struct {
	*rig
	cfg    vswitch.DelegateConfig
	real   *vswitch.Delegate
	oracle *oracle.Delegate
	holder vswitch.Holder
	used   int // calls of OnUse
}

func newDelegateRig(t testing.TB, desk *desk, cfg vswitch.DelegateConfig) *delegateRig {
	d := &delegateRig{cfg: cfg, oracle: oracle.NewDelegate(cfg), holder: vswitch.HolderSwitch}
	cfg.OnUse = func(*vswitch.Family) { d.used++ }
	d.real = vswitch.NewDelegate(cfg)
	d.rig = newRig(t, desk, d.real, replay.Setup{Delegate: &d.cfg, Holder: vswitch.HolderSwitch})
	return d
}

func (d *delegateRig) hand(h vswitch.Holder, mac vswitch.MAC) {
	d.real.IPv4.SetHolder(h, mac)
	d.oracle.IPv4.SetHolder(h, mac)
	if d.real.IPv6 != nil {
		d.real.IPv6.SetHolder(h, mac)
		d.oracle.IPv6.SetHolder(h, mac)
	}
	d.holder = h
}

func (d *delegateRig) do(s step) {
	d.steps = append(d.steps, s)
	switch s.op {
	case opRaw, opMade, opScan:
		d.trust(s)
		d.forwardBoth(s)
	case opWait, opPause:
		d.now += s.wait
	case opTick:
		sent := d.tick()
		d.allowed(sent, -1)
		d.agree(sent, d.oracle.Tick(d.now))
	case opHand:
		d.hand(s.holder, s.mac)
	}
	d.sameUse(d.real.IPv4, d.oracle.IPv4, s.mac)
	if d.real.IPv6 != nil {
		d.sameUse(d.real.IPv6, d.oracle.IPv6, s.mac)
	}
	d.conserved(d.oracle.Held())
}

// sameUse compares when the pod address of a family was last used.
func (d *delegateRig) sameUse(real *vswitch.Family, model *oracle.Family, mac vswitch.MAC) {
	for _, mac := range []vswitch.MAC{guestMAC, otherMAC, mac} {
		got, used := real.LastUseBy(mac)
		if want, wantUsed := model.LastUseBy(mac); got != want || used != wantUsed {
			d.fail("LastUseBy(%v) = %v, %v; the oracle: %v, %v", mac, got, used, want, wantUsed)
		}
	}
	got, used := real.LastUse()
	if want, wantUsed := model.LastUse(); got != want || used != wantUsed {
		d.fail("LastUse = %v, %v; the oracle: %v, %v", got, used, want, wantUsed)
	}
}

func (d *delegateRig) forwardBoth(s step) {
	d.used = 0
	sent := d.forward(s)
	want := d.oracle.Forward(s.port, s.frames, d.now)
	d.allowed(sent, s.port)
	d.agree(sent, want)
	if d.used != want.Used {
		d.fail("OnUse was called %d times, the oracle has %d", d.used, want.Used)
	}
}

// close sends a frame to every neighbour, which compares the neighbour tables, and then advances the time until no frame is held.
func (d *delegateRig) close() {
	d.do(step{op: opHand, holder: vswitch.HolderGuest, mac: guestMAC})
	_, hosts := delegateWorld(d.cfg).ips(vswitch.PortGuest)
	var frames []vswitch.Frame
	for _, host := range hosts {
		data := append(ethernet(routerMAC, guestMAC, 0x0800), udpPacket(d.cfg.Address.Addr().As4(), host.As4())...)
		frames = append(frames, vswitch.Frame{Data: data})
	}
	d.do(step{op: opRaw, port: vswitch.PortGuest, frames: frames})
	for range 5 {
		d.do(step{op: opWait, wait: time.Second})
		d.do(step{op: opTick})
	}
	if n := d.oracle.Held(); n != 0 {
		d.fail("%d frames are held forever", n)
	}
}

// trust changes the frames of the two endpoints to frames that they could send: the server's with a correct offload header, the pod's with the
// wire MAC, also within ARP. The forwarder does not check these.
func (d *delegateRig) trust(s step) {
	for i := range s.frames {
		f := &s.frames[i]
		switch s.port {
		case vswitch.PortServer:
			exact, ok := oracle.Exact(f.Offload, f.Data)
			if f.Offload = exact; !ok {
				f.Offload = none
			}
		case vswitch.PortPod:
			if len(f.Data) >= 14 {
				d.fromEndpoint(f)
			}
		}
	}
}

func (d *delegateRig) fromEndpoint(f *vswitch.Frame) {
	copy(f.Data[6:], wireMAC[:])
	at := 12 // of the ethertype, behind tags
	for len(f.Data) >= at+6 && (f.Data[at] == 0x81 && f.Data[at+1] == 0 || f.Data[at] == 0x88 && f.Data[at+1] == 0xa8) {
		at += 4
	}
	if f.Data[at] != 8 || f.Data[at+1] != 6 {
		return
	}
	if len(f.Data) < at+30 {
		f.Data = append(f.Data, make([]byte, at+30-len(f.Data))...)
	}
	copy(f.Data[at+10:], wireMAC[:])
	copy(f.Data[at+16:], d.cfg.Address.Addr().AsSlice())
}

// allowed checks that the frames may leave, by rules that do not depend on the oracle. The frames are the outcome of a frame that has entered at
// port in, or of a tick if in is -1.
func (d *delegateRig) allowed(sent [][]vswitch.Frame, in int) {
	for port, frames := range sent {
		for _, f := range frames {
			if why := d.forbidden(port, in, f); why != "" {
				d.fail("%s leaves at port %d:%s", why, port, describe([]vswitch.Frame{f}))
			}
		}
	}
}

func (d *delegateRig) forbidden(port, in int, f vswitch.Frame) string {
	if len(f.Data) < 14 {
		return "a short frame"
	}
	if exact, ok := oracle.Exact(f.Offload, f.Data); !ok || exact != f.Offload {
		return "an impossible offload header"
	}
	switch port {
	case vswitch.PortGuest:
		if in == vswitch.PortUplink && d.holder != vswitch.HolderGuest {
			return "a frame for a guest that is not the holder"
		}
		if in == vswitch.PortUplink && kind(f) == 0x0806 {
			return "ARP of the wire"
		}
		if in == vswitch.PortUplink && isOfLink(f) {
			return "neighbour discovery or MLD of the wire"
		}
		return unless(vswitch.MAC(f.Data[6:12]) == routerMAC, "a frame with another source than the router MAC")
	case vswitch.PortUplink:
		return d.forbiddenOnWire(in, f)
	case vswitch.PortPod:
		return unless(d.holder != vswitch.HolderKernel && (in == vswitch.PortUplink || in == port), "a frame for the pod endpoint")
	}
	return unless(in == vswitch.PortGuest && kind(f) != 0x0806, "a frame for the server")
}

func (d *delegateRig) forbiddenOnWire(in int, f vswitch.Frame) string {
	if vswitch.MAC(f.Data[6:12]) != wireMAC {
		return "another source MAC"
	}
	if f.Offload.GSOType == 0 && len(f.Data) > d.cfg.MTU+14 && kind(f) != 0x0806 {
		return "a frame larger than the MTU"
	}
	if f.Offload.GSOType != 0 && min(len(f.Data), int(f.Offload.HdrLen)+int(f.Offload.GSOSize)) > d.cfg.MTU+14 {
		return "a segment larger than the MTU"
	}
	self := d.cfg.Address.Addr().AsSlice()
	switch kind(f) {
	case 0x0800:
		transport := 14 + int(f.Data[14]&15)*4
		first := binary.BigEndian.Uint16(f.Data[20:])&0x1fff == 0
		switch {
		case !slices.Equal(f.Data[26:30], self):
			return "another source address"
		case f.Data[30] == 127 || f.Data[30] == 0:
			return "a martian"
		case in == vswitch.PortGuest && d.holder != vswitch.HolderGuest:
			return "a frame of a guest that is not the holder"
		case first && f.Data[23] == 17 && isDHCP(f, transport):
			return "DHCP"
		case in == vswitch.PortGuest && d.deniedAsFinished(f, transport, first):
			return "what a rule denies"
		case first && f.Data[23] == 17 && in == vswitch.PortGuest && slices.Contains(d.cfg.KeptUDP, binary.BigEndian.Uint16(f.Data[transport:])):
			return "a kept port of the guest"
		case first && f.Data[23] == 6 && in == vswitch.PortGuest && slices.Contains(d.cfg.KeptTCP, binary.BigEndian.Uint16(f.Data[transport:])):
			return "a kept port of the guest"
		}
		return ""
	case 0x86dd:
		return d.forbiddenIPv6(in, f)
	case 0x0806:
		if in != vswitch.PortPod && f.Data[21] != 1 {
			return "ARP other than a request"
		}
		return unless(vswitch.MAC(f.Data[22:28]) == wireMAC && slices.Equal(f.Data[28:32], self), "ARP with another sender than the pod")
	}
	return "another ethertype than IPv4 and ARP"
}

// forbiddenIPv6 checks an IPv6 frame for the wire.
func (d *delegateRig) forbiddenIPv6(in int, f vswitch.Frame) string {
	b := f.Data
	switch {
	case !d.cfg.AddressIPv6.IsValid():
		return "IPv6 of a pod without it"
	case !slices.Equal(b[22:38], d.cfg.AddressIPv6.Addr().AsSlice()):
		return "another source address"
	case b[38] == 0xfe && b[39]&0xc0 == 0x80 && b[20] != 58:
		return "a packet to a link-local address"
	case in == vswitch.PortGuest && d.holder != vswitch.HolderGuest:
		return "a frame of a guest that is not the holder"
	case b[20] == 17 && (isDHCPv6(b[54:]) || isDHCPv6(b[56:])):
		return "DHCPv6"
	case !isOfLink(f):
		return ""
	case in != vswitch.PortUplink && b[54] != 135:
		return "neighbour discovery or MLD of the guest"
	}
	return unless((b[54] == 135 || b[54] == 136) && b[21] == 255 && len(b) == 86 && vswitch.MAC(b[80:]) == wireMAC, "neighbour discovery with another MAC")
}

func isDHCPv6(port []byte) bool { return port[0] == 2 && (port[1] == 0x22 || port[1] == 0x23) }

// isOfLink reports whether a frame is ICMPv6 that does not leave its link, without extension headers.
func isOfLink(f vswitch.Frame) bool {
	if len(f.Data) < 55 || kind(f) != 0x86dd || f.Data[20] != 58 {
		return false
	}
	t := f.Data[54]
	return t >= 130 && t <= 137 || t >= 141 && t <= 143 || t == 148 || t == 149 || t >= 151 && t <= 153
}

// isDHCP reports whether a UDP packet on the wire is from or to a port of DHCP, and is not a reply of a server to a relay.
func isDHCP(f vswitch.Frame, transport int) bool {
	finished := slices.Clone(f.Data)
	vnet.Complete(f.Offload, finished)
	b := finished[transport:]
	from, to := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if from == 67 && to == 67 && len(b) >= 36 && b[8] == 2 && slices.Equal(b[32:36], f.Data[30:34]) {
		return false
	}
	return from == 67 || from == 68 || to == 67 || to == 68
}

// deniedAsFinished reports whether the configuration "rules" denies a frame after the kernel has completed its checksum.
func (d *delegateRig) deniedAsFinished(f vswitch.Frame, transport int, first bool) bool {
	if !slices.ContainsFunc(d.cfg.Rules, func(r vswitch.Rule) bool { return r.Port == 22623 }) {
		return false
	}
	finished := slices.Clone(f.Data)
	vnet.Complete(f.Offload, finished)
	port := -1
	if first && (finished[23] == 6 || finished[23] == 17) {
		port = int(binary.BigEndian.Uint16(finished[transport+2:]))
	}
	switch {
	case finished[30] == 169 && finished[31] == 254 && finished[32] == 169 && finished[33] == 254:
		return port != 53
	case finished[30] == 10 && finished[31] == 9 && finished[23] == 6:
		connects := first && finished[transport+13]&0x12 == 2
		overFlags := binary.BigEndian.Uint16(finished[20:])&0x1fff == 1
		return connects && (port == 22623 || port == 111) || overFlags
	}
	return false
}

func kind(f vswitch.Frame) uint16 { return binary.BigEndian.Uint16(f.Data[12:]) }

func unless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}
