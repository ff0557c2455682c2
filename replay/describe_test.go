package replay_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vswitch"
)

// packet6 returns an IPv6 packet from the pod to another host.
func packet6(next byte, body ...byte) []byte {
	from, to := netip.MustParseAddr("fd00::7").As16(), netip.MustParseAddr("2001:db8::1").As16()
	b := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(body)))
	b = append(append(append(b, next, 255), from[:]...), to[:]...)
	return append(b, body...)
}

// TestDescribeIPv6 checks the texts of IPv6 packets, also of such that end too early.
func TestDescribeIPv6(t *testing.T) {
	target := netip.MustParseAddr("fd00::9").As16()
	ports := []byte{0x9c, 0x40, 0, 80, 0, 8, 0, 0}
	about := func(kind byte, rest ...byte) []byte {
		return packet6(58, append(append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, target[:]...), rest...)...)
	}
	for _, c := range []struct {
		packet []byte
		want   string
	}{
		{packet6(6, syn...), "tcp 40000 > 80 syn"},
		{packet6(17, ports...), "udp 40000 > 80"},
		{packet6(0, append([]byte{60, 0, 1, 4, 0, 0, 0, 0, 17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ports...)...), "udp 40000 > 80"},
		{packet6(51, append([]byte{17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ports...)...), "udp 40000 > 80"},
		{packet6(44, append([]byte{17, 0, 0, 1, 0, 0, 0, 7}, ports...)...), "udp 40000 > 80"},
		{packet6(44, append([]byte{17, 0, 0x05, 0xa8, 0, 0, 0, 7}, ports...)...), "ip protocol 17 fragment at 1448"},
		{packet6(43, 17, 255, 0, 0, 0, 0, 0, 0), "ip protocol 17"},
		{packet6(59), "ip protocol 59"},
		{packet6(58, 128, 0, 0, 0), "icmp6 echo request"},
		{packet6(58, 2, 0, 0, 0, 0, 0, 5, 0, 1, 2), "icmp6 packet too big mtu 1280"},
		{packet6(58, 1, 4, 0, 0), "icmp6 port unreachable"},
		{packet6(58, 1, 9, 0, 0), "icmp6 unreachable code 9"},
		{packet6(58, 200, 3, 0, 0), "icmp6 type 200 code 3"},
		{packet6(58, 128), "ip protocol 58"},
		{about(135), "icmp6 who-has fd00::9"},
		{about(136, 2, 1, 2, 0, 0, 0, 0, 9), "icmp6 fd00::9 is-at 02:00:00:00:00:09"},
		{about(136), "icmp6 fd00::9 is here"},
		{packet6(17, append([]byte{2, 0x22, 2, 0x23, 0, 12, 0, 0}, 5, 0, 0, 1)...), "udp 546 > 547 dhcp6 RENEW"},
		{packet6(17, 2, 0x23, 2, 0x22), "udp 547 > 546 dhcp6"},
		{make([]byte, 40), ""},
	} {
		_, records := play(t, replay.Options{Setup: bridge(2)}, replay.Packet{Port: "guest", Time: replay.At(0),
			Frame: vswitch.Frame{Data: eth(routerMAC, guestMAC, 0x86dd, c.packet...)}})
		want := "fd00::7 > 2001:db8::1 " + c.want
		if c.want == "" {
			want = ":: > :: ipv6 with a malformed header"
		}
		if got := records[0].Frame.Text; got != want {
			t.Errorf("%x: %q, want %q", c.packet, got, want)
		}
	}
}

// dualStack returns a setup with both families, and ipv6Only one without IPv4.
func dualStack() replay.Setup {
	s := delegate()
	s.Delegate.AddressIPv6, s.Delegate.Advertisement = netip.MustParsePrefix("fd00::7/64"), append([]byte{134, 0, 0, 0, 64}, make([]byte, 11)...)
	s.Delegate.Routes = append(s.Delegate.Routes, vswitch.Route{Destination: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fe80::1")})
	return s
}

func ipv6Only() replay.Setup {
	s := dualStack()
	s.Delegate.Address, s.Delegate.Server, s.Delegate.Gateway = netip.Prefix{}, netip.Addr{}, netip.Addr{}
	return s
}

// dualStackPackets returns packets of both families with a change of the holder.
func dualStackPackets() []replay.Packet {
	guest := func(body []byte) replay.Packet {
		return replay.Packet{Port: "guest", Time: replay.At(0), Frame: vswitch.Frame{Data: eth(routerMAC, guestMAC, 0x86dd, body...)}}
	}
	return []replay.Packet{guest(packet6(6, syn...)), guest(packet6(0, 58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0)),
		{Time: replay.At(1), Event: &replay.Event{Holder: vswitch.HolderSwitch}}, guest(packet6(44, 17, 0, 0, 1, 0, 0, 0, 7, 1, 2)), outcomes()[1]}
}

// TestHeldIPv6 checks that a packet of IPv6 waits for its next hop, and that messages of neighbour discovery do not.
func TestHeldIPv6(t *testing.T) {
	from := func(port string, body []byte) replay.Packet {
		return replay.Packet{Port: port, Time: replay.At(0), Frame: vswitch.Frame{Data: eth(routerMAC, guestMAC, 0x86dd, body...)}}
	}
	_, records := play(t, replay.Options{Setup: dualStack()}, from("guest", packet6(59)), from("guest", packet6(58, bytes.Repeat([]byte{136}, 24)...)))
	if records[0].Outcome != replay.Held || records[1].Outcome == replay.Held {
		t.Errorf("%s\n%s", records[0], records[1])
	}
}
