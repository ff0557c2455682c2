package vswitch

import (
	"bytes"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/internal/packet"
)

// The questions about gateways do not count against the limits, also after the routes have changed.
func TestSetUplinkQuestions(t *testing.T) {
	cfg := delegateConfig()
	cfg.Routes = []Route{{Destination: netip.MustParsePrefix("10.0.0.0/8")}, {Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.0.0.1")}}
	d := NewDelegate(cfg)
	d.IPv4.SetHolder(HolderGuest, MAC{2, 1})
	out := NewOut(delegatePorts, new(Counters))
	ask := func(host byte) {
		frame := packetOf(100)
		packet.SetMACs(frame, MAC{2, 0xfe}, MAC{2, 1})
		setIPs(frame, 10, 0, 0, 7, host, 0, 0, 2)
		d.Forward(PortGuest, []Frame{{Data: frame}}, 0, out)
	}
	ask(11) // by the gateway
	ask(10)
	want := func(asked int) {
		t.Helper()
		if got := d.IPv4.neighbours.asked[PortGuest]; got != asked || len(d.IPv4.neighbours.questions) != 2 {
			t.Errorf("%d questions count, want %d of %d", got, asked, len(d.IPv4.neighbours.questions))
		}
	}
	want(1)
	cfg.Routes[1].Gateway = netip.MustParseAddr("10.0.0.2")
	d.SetUplink(cfg)
	want(1)
	cfg.Routes = cfg.Routes[:1]
	d.SetUplink(cfg)
	want(2)
}

// The state can be resumed also after questions about gateways have become ordinary ones, beyond the limits of those.
func TestStateAfterGatewaysAreGone(t *testing.T) {
	for name, size := range map[string]int{"questions": 100, "bytes": 1400} {
		t.Run(name, func(t *testing.T) {
			cfg := delegateConfig()
			cfg.Routes = []Route{{Destination: netip.MustParsePrefix("10.0.0.0/8")}}
			for i := range byte(70) {
				cfg.Routes = append(cfg.Routes, Route{Destination: netip.PrefixFrom(netip.AddrFrom4([4]byte{11, 0, 0, i}), 32), Gateway: netip.AddrFrom4([4]byte{10, 0, 0, 100 + i})})
			}
			d := NewDelegate(cfg)
			d.IPv4.SetHolder(HolderGuest, MAC{2, 1})
			out := NewOut(delegatePorts, new(Counters))
			ask := func(port int, target ...byte) {
				frame := packetOf(size)
				packet.SetMACs(frame, MAC{2, 0xfe}, MAC{2, 1})
				setIPs(frame, append([]byte{10, 0, 0, 7}, target...)...)
				d.Forward(port, []Frame{{Data: frame}}, 0, out)
				out.Flush(func(int, []Frame) {})
			}
			for i := range byte(192) {
				for range 1 + size/400 {
					ask(PortGuest, 10, 1, 0, i)
				}
			}
			for i := range byte(70) {
				ask(PortPod, 10, 2, 0, i)
				for range 1 + size/20 {
					ask(PortGuest, 11, 0, 0, i)
				}
			}
			cfg.Routes = cfg.Routes[:1]
			d.SetUplink(cfg)
			if err := NewDelegate(cfg).Resume(d.State(0), 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// A permanent neighbour finds room in a table that is full of learned ones, and takes the place of one that is gone.
func TestSetUplinkPermanent(t *testing.T) {
	cfg := delegateConfig()
	d := NewDelegate(cfg)
	for i := range NeighbourLimit {
		d.IPv4.neighbours.putLocked(ip4(0x0a010000+uint32(i)), newNeighbourValue(MAC{2, 3}, true), 0)
	}
	set := func(list ...Neighbour) {
		t.Helper()
		cfg.Permanent = list
		d.SetUplink(cfg)
		got := d.IPv4.neighbours.permanent()
		for _, n := range list {
			if _, value, _, ok := d.IPv4.neighbours.table.Find(lookup.KeyOf(n.Addr)); !ok || neighbourValue(value).mac() != n.MAC || !got[n.Addr] {
				t.Errorf("%v is not a permanent neighbour", n)
			}
		}
		if len(got) != len(list) {
			t.Errorf("permanent neighbours: %v, want %v", got, list)
		}
	}
	set(Neighbour{netip.MustParseAddr("10.0.0.1"), MAC{2, 4}})
	set(Neighbour{netip.MustParseAddr("10.0.0.1"), MAC{2, 5}}, Neighbour{netip.MustParseAddr("10.0.0.2"), MAC{2, 6}})
	set(Neighbour{netip.MustParseAddr("10.0.0.2"), MAC{2, 6}})
	set()
}

// SetUplink may be called while frames are forwarded.
func TestSetUplinkConcurrently(t *testing.T) {
	cfg := delegateConfig()
	d := NewDelegate(cfg)
	d.IPv4.SetHolder(HolderGuest, MAC{2, 1})
	var wg sync.WaitGroup
	for port := range delegatePorts {
		wg.Go(func() {
			out := NewOut(delegatePorts, new(Counters))
			for range 500 {
				frame := packetOf(1000)
				packet.SetMACs(frame, MAC{2, 0xfe}, MAC{2, 1})
				setIPs(frame, 10, 0, 0, 7, 10, 0, 0, 9)
				d.Forward(port, []Frame{{Data: frame}}, 0, out)
				out.Flush(func(int, []Frame) {})
				d.Tick(0, out)
				out.Flush(func(int, []Frame) {})
			}
		})
	}
	for i := range 500 {
		next := cfg
		next.MTU, next.WireMAC[5] = 500+i, byte(i)
		d.SetUplink(next)
	}
	wg.Wait()
}

// A packet that the uplink has refused is answered as soon as a lower MTU is known: to the guest, or to the pod endpoint if the guest has not sent
// it. The guest does not see the packets of the pod's own processes.
func TestTooBig(t *testing.T) {
	cfg := delegateConfig(Route{Destination: netip.MustParsePrefix("0.0.0.0/0")})
	cfg.KeptTCP, cfg.Egress = []uint16{80}, netip.MustParseAddr("169.254.75.11")
	d := NewDelegate(cfg)
	d.IPv4.SetHolder(HolderGuest, MAC{2, 1})
	d.IPv4.egress.note(&packet.Packet{Protocol: packet.ProtocolUDP, SourcePort: 80, Target: ip4(0x0a000009)}, nil, time.Second)
	ipv4 := func(flags, protocol byte) []byte {
		frame := packetOf(1400)
		packet.SetMACs(frame, MAC{2, 9}, cfg.WireMAC)
		frame[20], frame[23], frame[34], frame[35], frame[39], frame[46] = flags, protocol, 0, 80, packet.UDPLen, 0x50
		setIPs(frame, 10, 0, 0, 7, 10, 0, 0, 9)
		return frame
	}
	out := NewOut(delegatePorts, new(Counters))
	if d.TooBig(ipv4(0x40, 99), out) {
		t.Error("a packet that fits is answered")
	}
	cfg.MTU = 1300
	d.SetUplink(cfg)
	for _, c := range []struct {
		frame []byte
		port  int
		to    MAC
	}{{ipv4(0x40, 99), PortGuest, MAC{2, 1}}, {ipv4(0x40, packet.ProtocolTCP), PortPod, cfg.WireMAC}, {ipv4(0x40, packet.ProtocolUDP), PortPod, cfg.WireMAC}, {ipv4(0, 99), -1, MAC{}}, {[]byte{1}, -1, MAC{}}} {
		if !d.TooBig(c.frame, out) {
			t.Error("the MTU is not known")
		}
		sent := -1
		out.Flush(func(port int, frames []Frame) {
			sent = port
			b := frames[0].Data
			if destination(b) != c.to || sender(b) != cfg.RouterMAC || b[34] != packet.ICMPUnreachable || b[35] != icmpErrors[errorTooBig].ipv4[1] || int(b[40])<<8+int(b[41]) != 1300 {
				t.Errorf("% x", b)
			}
		})
		if sent != c.port {
			t.Errorf("the error leaves at %d, want %d", sent, c.port)
		}
	}
}

// TooBig answers IPv6, with at least the smallest MTU of it.
func TestTooBigIPv6(t *testing.T) {
	cfg := delegateConfig(Route{Destination: netip.MustParsePrefix("::/0")})
	cfg.AddressIPv6, cfg.MTU = netip.MustParsePrefix("fd00::7/64"), 1000
	d := NewDelegate(cfg)
	d.IPv6.SetHolder(HolderGuest, MAC{2, 1})
	frame := make([]byte, packet.EthernetLen+1400)
	packet.SetHeader(frame, MAC{2, 9}, cfg.WireMAC, packet.TypeIPv6)
	frame[14], frame[18], frame[19], frame[20] = 0x60, byte((1400-packet.IPv6Len)>>8), (1400-packet.IPv6Len)&0xff, 99
	lookup.KeyOf(cfg.AddressIPv6.Addr()).Put6(frame[22:])
	lookup.KeyOf(netip.MustParseAddr("2001:db8::1")).Put6(frame[38:])
	out := NewOut(delegatePorts, new(Counters))
	if !d.TooBig(frame, out) {
		t.Error("the MTU is not known")
	}
	out.Flush(func(port int, frames []Frame) {
		if b := frames[0].Data; port != PortGuest || destination(b) != (MAC{2, 1}) || b[54] != 2 || int(b[60])<<8+int(b[61]) != minMTU {
			t.Errorf("port %d: % x", port, b)
		}
	})
}

// The guest is told at once when what a router advertisement says has changed, and not of other changes.
func TestSetUplinkAdvertisement(t *testing.T) {
	cfg := delegateConfig()
	cfg.AddressIPv6, cfg.Advertisement = netip.MustParsePrefix("fd00::7/64"), []byte{134, 0, 0, 0, 64, 0xc0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}
	d := NewDelegate(cfg)
	now := time.Duration(0)
	want := func(what string, isSent bool) {
		t.Helper()
		now += time.Second
		out, sent := NewOut(delegatePorts, new(Counters)), false
		d.Tick(now, out)
		out.Flush(func(port int, frames []Frame) {
			sent = sent || port == PortGuest && frames[0].Data[packet.EthernetLen+packet.IPv6Len] == 134
		})
		if sent != isSent {
			t.Errorf("%s: an advertisement is sent: %t", what, sent)
		}
	}
	want("at the start", true)
	want("later", false)
	cfg.MTU = 1400
	d.SetUplink(cfg)
	want("another MTU of the link", false)
	cfg.Advertisement = bytes.Clone(cfg.Advertisement)
	d.SetUplink(cfg)
	want("an equal advertisement", false)
	cfg.Advertisement = append(bytes.Clone(cfg.Advertisement), 5, 1, 0, 0, 0, 0, 5, 120) // with an MTU
	d.SetUplink(cfg)
	want("another advertisement", true)
	want("later", false)
}
