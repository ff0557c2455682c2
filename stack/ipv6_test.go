package stack

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// The IPv6 addresses of the tests.
var (
	podIPv6    = netip.MustParseAddr("fd00:10:244:1::7")
	otherIPv6  = netip.MustParseAddr("2001:db8::9")
	serverIPv6 = netip.MustParseAddr("fe80::ff:fe00:1")
	guestIPv6  = netip.MustParseAddr("fe80::5054:ff:fe12:3456")
)

// podConfigIPv6 is that of a pod endpoint with IPv6 alone, podConfigBoth with both families.
func podConfigIPv6() Config {
	return Config{AddressIPv6: podIPv6, MAC: wireMAC, PeerMAC: routerMAC, MTU: 1450}
}

func podConfigBoth() Config {
	cfg := podConfig()
	cfg.AddressIPv6 = podIPv6
	return cfg
}

// packetIPv6 builds a frame with checksums.
func packetIPv6(t testing.TB, from, to netip.Addr, protocol layers.IPProtocol, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
	for _, part := range parts {
		switch part := part.(type) {
		case *layers.UDP:
			_ = part.SetNetworkLayerForChecksum(ip)
		case *layers.ICMPv6:
			_ = part.SetNetworkLayerForChecksum(ip)
		}
	}
	return serialise(t, append([]gopacket.SerializableLayer{etherHeader(layers.EthernetTypeIPv6), ip}, parts...)...)
}

func icmpv6(t testing.TB, from, to netip.Addr, kind, code uint8, body []byte) []byte {
	t.Helper()
	return packetIPv6(t, from, to, layers.IPProtocolICMPv6, &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, code)}, gopacket.Payload(body))
}

func udpIPv6(t testing.TB, from, to netip.AddrPort, payload string) []byte {
	t.Helper()
	return packetIPv6(t, from.Addr(), to.Addr(), layers.IPProtocolUDP,
		&layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())}, gopacket.Payload(payload))
}

// checkIPv6Checksum checks the checksum of a frame's transport header.
func checkIPv6Checksum(t testing.TB, frame []byte) {
	t.Helper()
	payload := frame[54:]
	if sum := vnet.Sum(payload, vnet.PseudoSum(frame[22:38], frame[38:54], frame[20], len(payload))); sum != 0xffff {
		t.Errorf("wrong checksum in %x", frame)
	}
}

func TestEchoOfIPv6(t *testing.T) {
	for name, cfg := range map[string]Config{"IPv6 alone": podConfigIPv6(), "both families": podConfigBoth()} {
		t.Run(name, func(t *testing.T) {
			pod := open(t, cfg)
			pod.put(icmpv6(t, otherIPv6, podIPv6, 128, 0, []byte("\x00\x4d\x00\x01payload")))
			frame := pod.next().data
			checkMACs(t, frame, wireMAC, routerMAC)
			checkIPv6Checksum(t, frame)
			want := append([]byte{129, 0}, "\x00\x4d\x00\x01payload"...)
			if got := append(frame[54:56:56], frame[58:]...); !bytes.Equal(got, want) || !sameIP(frame[38:54], otherIPv6) {
				t.Errorf("not the reply: %x", frame)
			}
		})
	}
}

// TestNothingOfNeighbourDiscovery checks that the endpoint sends nothing on its own, and answers no neighbour message: the forwarder does.
func TestNothingOfNeighbourDiscovery(t *testing.T) {
	pod := open(t, podConfigIPv6())
	target := podIPv6.As16()
	group := netip.MustParseAddr("ff02::1:ff00:7")
	for name, frame := range map[string][]byte{
		"solicitation to the address": icmpv6(t, otherIPv6, podIPv6, 135, 0, append(make([]byte, 4), target[:]...)),
		"solicitation to the group":   icmpv6(t, otherIPv6, group, 135, 0, append(make([]byte, 4), target[:]...)),
		"advertisement":               icmpv6(t, otherIPv6, podIPv6, 136, 0, append(make([]byte, 4), target[:]...)),
		"router advertisement":        icmpv6(t, otherIPv6, podIPv6, 134, 0, make([]byte, 12)),
		"listener query":              icmpv6(t, otherIPv6, podIPv6, 130, 0, make([]byte, 20)),
		"redirect":                    icmpv6(t, otherIPv6, podIPv6, 137, 0, make([]byte, 36)),
	} {
		drops := pod.drops(vswitch.Unwanted)
		pod.put(frame)
		if pod.drops(vswitch.Unwanted) != drops+1 {
			t.Errorf("%s: not dropped", name)
		}
	}
	pod.put(icmpv6(t, otherIPv6, podIPv6, 128, 0, make([]byte, 4)))
	if frame := pod.next().data; frame[54] != 129 {
		t.Errorf("the first frame is %x, want an echo reply", frame)
	}
}

// TestExtensionHeadersAreRefused checks that a message behind headers that the screen does not know is dropped.
func TestExtensionHeadersAreRefused(t *testing.T) {
	pod := open(t, podConfigIPv6())
	for _, kind := range []layers.IPProtocol{layers.IPProtocolIPv6HopByHop, layers.IPProtocolIPv6Routing, layers.IPProtocolIPv6Destination} {
		pod.put(packetIPv6(t, otherIPv6, podIPv6, kind, gopacket.Payload(append([]byte{58, 0, 1, 4, 0, 0, 0, 0}, make([]byte, 16)...))))
	}
	if n := pod.drops(vswitch.Unwanted); n != 3 {
		t.Errorf("%d drops, want 3", n)
	}
}

// newPairIPv6 is newPair with IPv6.
func newPairIPv6(t testing.TB) (pod, client *Endpoint) {
	t.Helper()
	pod, err := New(podConfigIPv6())
	if err != nil {
		t.Fatal(err)
	}
	client, err = New(Config{AddressIPv6: otherIPv6, MAC: routerMAC, PeerMAC: wireMAC, MTU: 1450})
	if err != nil {
		t.Fatal(err)
	}
	join(t, client, pod)
	return pod, client
}

// TestKeptTCPOverIPv6 moves data both ways, in frames of several segments, behind a PROXY header.
func TestKeptTCPOverIPv6(t *testing.T) {
	pod, client := newPairIPv6(t)
	header := make(chan []byte, 1)
	to := target(t, func(c *net.TCPConn) {
		begin := make([]byte, 16+36)
		_, _ = io.ReadFull(c, begin)
		header <- begin
		echoBack(c)
	})
	if err := pod.Keep(KeptPort{Network: "tcp", Port: 8080, Dial: dialTo(to), Proxy: true}); err != nil {
		t.Fatal(err)
	}
	c := dialPair(t, client, pod, 8080)
	local := c.LocalAddr().(*net.TCPAddr)
	want := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	var writing sync.WaitGroup
	writing.Go(func() {
		_, _ = c.Write(want)
		_ = c.CloseWrite()
	})
	got, err := io.ReadAll(c)
	writing.Wait()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes back of %d, %v", len(got), len(want), err)
	}
	text := fmt.Sprintf("%x2121%04x%x%x%04x%04x", proxySignature, 36, otherIPv6.AsSlice(), podIPv6.AsSlice(), local.Port, 8080)
	if got := hex.EncodeToString(within(t, header)); got != text {
		t.Errorf("PROXY header\n%s, want\n%s", got, text)
	}
}

// TestFramesOfIPv6 checks the offload header of a frame of several segments.
func TestFramesOfIPv6(t *testing.T) {
	pod, err := New(podConfigIPv6())
	if err != nil {
		t.Fatal(err)
	}
	client, err := New(Config{AddressIPv6: otherIPv6, MAC: routerMAC, PeerMAC: wireMAC, MTU: 1450})
	if err != nil {
		t.Fatal(err)
	}
	large := join(t, client, pod)
	keep(t, pod, 8080, target(t, echoBack))
	c := dialPair(t, client, pod, 8080)
	if _, err := c.Write(make([]byte, 100<<10)); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	if large.Load() == 0 {
		t.Error("no frame of several segments")
	}
}

// TestForgedErrorsOfIPv6 checks that "packet too big" needs the sequence number of data in flight and a possible MTU.
func TestForgedErrorsOfIPv6(t *testing.T) {
	pod := open(t, podConfigIPv6())
	tooBig := func(mtu uint32, protocol layers.IPProtocol, seq uint32) []byte {
		quoted := packetIPv6(t, podIPv6, otherIPv6, protocol, gopacket.Payload(binary.BigEndian.AppendUint32([]byte{0x1f, 0x90, 1, 0}, seq)))
		return icmpv6(t, netip.MustParseAddr("2001:db8::1"), podIPv6, 2, 0, append(binary.BigEndian.AppendUint32(nil, mtu), quoted[14:]...))
	}
	for name, frame := range map[string][]byte{
		"no connection":    tooBig(1400, layers.IPProtocolTCP, 1),
		"UDP":              tooBig(1400, layers.IPProtocolUDP, 1),
		"cut":              tooBig(1400, layers.IPProtocolTCP, 1)[:14+40+8+41],
		"echo reply":       icmpv6(t, otherIPv6, podIPv6, 129, 0, make([]byte, 4)),
		"time exceeded":    icmpv6(t, otherIPv6, podIPv6, 3, 0, make([]byte, 60)),
		"port unreachable": icmpv6(t, otherIPv6, podIPv6, 1, 4, make([]byte, 60)),
	} {
		drops := pod.drops(vswitch.Unwanted)
		pod.put(frame)
		if pod.drops(vswitch.Unwanted) != drops+1 {
			t.Errorf("%s: reached netstack", name)
		}
	}
}

// TestTooBigOfIPv6 checks that the error about a segment of a connection reaches netstack, and one with an impossible MTU does not.
func TestTooBigOfIPv6(t *testing.T) {
	pod, client := newPairIPv6(t)
	keep(t, pod, 8080, target(t, echoBack))
	c := dialPair(t, client, pod, 8080)
	port := uint16(c.LocalAddr().(*net.TCPAddr).Port)
	var s sequences
	await(t, "the end of the handshake at the pod's side", func() (ok bool) {
		conn := pod.connection(netstack.TransportEndpointID{LocalAddress: stackAddress(podIPv6), LocalPort: 8080,
			RemoteAddress: stackAddress(otherIPv6), RemotePort: port})
		if conn != nil {
			s, ok = sequencesOf(conn)
		}
		return ok
	})
	for mtu, want := range map[uint32]bool{1280: true, 1400: true, 1279: false} {
		quoted := packetIPv6(t, podIPv6, otherIPv6, layers.IPProtocolTCP,
			gopacket.Payload(binary.BigEndian.AppendUint32([]byte{0x1f, 0x90, byte(port >> 8), byte(port)}, s.sndUna)))
		frame := icmpv6(t, netip.MustParseAddr("2001:db8::1"), podIPv6, 2, 0, append(binary.BigEndian.AppendUint32(nil, mtu), quoted[14:]...))
		p, _ := familyIPv6.parse(frame[14:], false)
		if got := pod.mayPassICMP(&p); got != want {
			t.Errorf("MTU %d: passes = %t, want %t", mtu, got, want)
		}
	}
}

// TestKeptUDPOverIPv6 checks a flow of each family, and the refusal of a target.
func TestKeptUDPOverIPv6(t *testing.T) {
	pod := keepUDP(t, podConfigBoth(), dialUDP(udpServer(t, answering(" back"))))
	client := netip.AddrPortFrom(otherIPv6, 4000)
	query := string(question(3, "who?"))
	pod.put(udpIPv6(t, client, netip.AddrPortFrom(podIPv6, 5353), query))
	frame := pod.next().data
	checkIPv6Checksum(t, frame)
	udp := decode(t, frame).Layer(layers.LayerTypeUDP).(*layers.UDP)
	if want := answerTo([]byte(query), " back"); !bytes.Equal(udp.Payload, want) || udp.DstPort != 4000 || udp.SrcPort != 5353 {
		t.Errorf("got %q", udp.Payload)
	}
	pod.sendsTo(asking, query)
	if udp := pod.nextPacket().Layer(layers.LayerTypeUDP).(*layers.UDP); udp.DstPort != 4000 {
		t.Errorf("IPv4: got %v", udp)
	}
	refusing := keepUDP(t, podConfigIPv6(), dialUDP(refusing(t)))
	refusing.put(udpIPv6(t, client, netip.AddrPortFrom(podIPv6, 5353), "anyone?"))
	frame = refusing.next().data
	checkIPv6Checksum(t, frame)
	if frame[54] != 1 || frame[55] != 4 || !bytes.HasSuffix(frame, []byte("anyone?")) {
		t.Errorf("got %x, want port unreachable", frame)
	}
	if n := len(portUnreachable(client, netip.AddrPortFrom(podIPv6, 1), make([]byte, 1400))); n != 1280 {
		t.Errorf("an error of %d bytes, want 1280", n)
	}
}

// serverConfigIPv6 is that of the server endpoint, with the router's link-local address.
func serverConfigIPv6() Config {
	cfg := serverConfig()
	cfg.AddressIPv6 = serverIPv6
	return cfg
}

func TestDNSOverIPv6(t *testing.T) {
	server := open(t, serverConfigIPv6())
	if err := relay(server.Endpoint, udpServer(t, answering(" here"))); err != nil {
		t.Fatal(err)
	}
	query := question(9, "who?")
	server.put(udpIPv6(t, netip.AddrPortFrom(podIPv6, 40000), netip.AddrPortFrom(serverIPv6, 53), string(query)))
	frame := server.next().data
	checkIPv6Checksum(t, frame)
	if udp := decode(t, frame).Layer(layers.LayerTypeUDP).(*layers.UDP); !bytes.Equal(udp.Payload, answerTo(query, " here")) {
		t.Errorf("got %q", udp.Payload)
	}
	server.ask(query) // over IPv4, too
	server.expectAnswer(answerTo(query, " here"))
}

func TestDHCPv6Messages(t *testing.T) {
	server := open(t, serverConfigIPv6())
	type received struct {
		text     string
		from, to netip.Addr
		mac      vswitch.MAC
	}
	got := make(chan received, 1)
	err := server.ServeDHCPv6(func(message []byte, from, to netip.Addr, mac vswitch.MAC) []byte {
		got <- received{string(message), from, to, mac}
		return []byte("\x02xid")
	})
	if err != nil {
		t.Fatal(err)
	}
	client, group := netip.AddrPortFrom(guestIPv6, 546), netip.MustParseAddrPort("[ff02::1:2]:547")
	for name, to := range map[string]netip.AddrPort{"group": group, "unicast": netip.AddrPortFrom(serverIPv6, 547)} {
		server.put(udpIPv6(t, client, to, "solicit"))
		if r := within(t, got); r != (received{"solicit", guestIPv6, to.Addr(), routerMAC}) {
			t.Errorf("%s: got %+v", name, r)
		}
		frame := server.next().data
		checkMACs(t, frame, routerMAC, routerMAC) // the client's MAC is that of the test's frames
		checkIPv6Checksum(t, frame)
		udp := decode(t, frame).Layer(layers.LayerTypeUDP).(*layers.UDP)
		if udp.SrcPort != 547 || udp.DstPort != 546 || string(udp.Payload) != "\x02xid" || !sameIP(frame[22:38], serverIPv6) || !sameIP(frame[38:54], guestIPv6) {
			t.Errorf("%s: reply %x", name, frame)
		}
	}
	wrong := udpIPv6(t, client, group, "solicit")
	wrong[len(wrong)-1]++
	server.put(wrong)
	cut := udpIPv6(t, client, group, "solicit")
	server.put(patch(cut, 54+4, 0, 9))
	server.put(udpIPv6(t, client, group, "last"))
	if r := within(t, got); r.text != "last" {
		t.Errorf("got %+v, want the message behind the wrong ones", r)
	}
	if err := server.ServeDHCPv6(nil); err == nil {
		t.Error("a second service: want an error")
	}
}

func TestDHCPv6MessagesThatWaitAreBounded(t *testing.T) {
	server := open(t, serverConfigIPv6())
	entered, proceed := make(chan string, 100), make(chan struct{})
	if err := server.ServeDHCPv6(func(message []byte, _, _ netip.Addr, _ vswitch.MAC) []byte {
		entered <- string(message)
		<-proceed
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	put := func(text string) {
		server.put(udpIPv6(t, netip.AddrPortFrom(guestIPv6, 546), netip.MustParseAddrPort("[ff02::1:2]:547"), text))
	}
	put("first")
	within(t, entered)
	for range dhcpv6Waiting {
		put("waits")
	}
	put("is dropped")
	close(proceed)
	for range dhcpv6Waiting {
		if got := within(t, entered); got != "waits" {
			t.Errorf("got %q", got)
		}
	}
	put("next")
	if got := within(t, entered); got != "next" {
		t.Errorf("got %q, want the message behind the dropped one", got)
	}
}

func TestProbeOfIPv6(t *testing.T) {
	server := open(t, serverConfigIPv6())
	server.Probe(guestMAC, podIPv6)
	frame := server.next().data
	checkMACs(t, frame, routerMAC, guestMAC)
	checkIPv6Checksum(t, frame)
	ns, ok := decode(t, frame).Layer(layers.LayerTypeICMPv6NeighborSolicitation).(*layers.ICMPv6NeighborSolicitation)
	if !ok || !sameIP(ns.TargetAddress, podIPv6) || len(ns.Options) != 1 || !bytes.Equal(ns.Options[0].Data, routerMAC[:]) || frame[21] != 255 ||
		!sameIP(frame[38:54], netip.MustParseAddr("ff02::1:ff00:7")) || !sameIP(frame[22:38], serverIPv6) {
		t.Errorf("solicitation %x", frame)
	}
	server.Probe(vswitch.Broadcast, podIPv6)
	checkMACs(t, server.next().data, routerMAC, vswitch.MAC{0x33, 0x33, 0xff, 0, 0, 7})
	open(t, serverConfig()).Probe(guestMAC, podIPv6) // no address of the family: nothing
}

func TestConfigOfIPv6(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no address":  func(c *Config) { c.AddressIPv6 = netip.Addr{} },
		"IPv4":        func(c *Config) { c.AddressIPv6 = podAddress },
		"IPv4 mapped": func(c *Config) { c.AddressIPv6 = netip.MustParseAddr("::ffff:10.1.2.3") },
		"a zone":      func(c *Config) { c.AddressIPv6 = netip.MustParseAddr("fe80::1%eth0") },
		"loopback":    func(c *Config) { c.AddressIPv6 = netip.IPv6Loopback() },
		"a group":     func(c *Config) { c.AddressIPv6 = netip.MustParseAddr("ff02::1") },
		"small MTU":   func(c *Config) { c.MTU = 1279 },
		"IPv6 in v4":  func(c *Config) { c.Address = podIPv6 },
	} {
		cfg := podConfigIPv6()
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}
