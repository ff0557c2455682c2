package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
)

// asking is where the datagrams of the tests come from.
var asking = addrPort(otherAddress, 4000)

// dialUDP returns a dial function for a target over UDP.
func dialUDP(to netip.AddrPort) Dial {
	return func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", to.String())
	}
}

// keepUDP returns an endpoint whose UDP port 5353 is kept with dial.
func keepUDP(t *testing.T, cfg Config, dial Dial) *tapped {
	t.Helper()
	pod := open(t, cfg)
	if err := pod.Keep(KeptPort{Network: "udp", Port: 5353, Dial: dial}); err != nil {
		t.Fatal(err)
	}
	return pod
}

// sendsTo sends a datagram of a client to the kept port.
func (p *tapped) sendsTo(from netip.AddrPort, payload string) {
	p.t.Helper()
	p.put(udpFrame(p.t, from, addrPort(podAddress, 5353), []byte(payload)))
}

// receives checks the next frame: a datagram of the kept port.
func (p *tapped) receives(to netip.AddrPort, want string) {
	p.t.Helper()
	frame := p.next().data
	checkChecksums(p.t, frame)
	packet := decode(p.t, frame)
	ip := packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	udp, ok := packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if !ok || udp.SrcPort != 5353 || uint16(udp.DstPort) != to.Port() || !sameIP(ip.DstIP, to.Addr()) || string(udp.Payload) != want {
		p.t.Fatalf("got %s, want %q to %s", packet, want, to)
	}
}

// repeat returns the function of a server that answers each datagram with itself a number of times.
func repeat(n int) func([]byte, netip.AddrPort) [][]byte {
	return func(query []byte, _ netip.AddrPort) (answers [][]byte) {
		for range n {
			answers = append(answers, query)
		}
		return answers
	}
}

// TestKeptUDPPort checks that each client has a flow of its own, with one connection to the target.
func TestKeptUDPPort(t *testing.T) {
	pod := keepUDP(t, podConfig(), dialUDP(udpServer(t, func(query []byte, from netip.AddrPort) [][]byte {
		return [][]byte{fmt.Appendf(nil, "%s from %d", query, from.Port())}
	})))
	sources := map[string]bool{}
	for _, from := range []netip.AddrPort{asking, addrPort(otherAddress, 4001), asking} {
		pod.sendsTo(from, "question")
		payload := pod.nextPacket().Layer(layers.LayerTypeUDP).(*layers.UDP).Payload
		if !bytes.HasPrefix(payload, []byte("question from ")) {
			t.Errorf("got %q", payload)
		}
		sources[string(payload)] = true
	}
	if len(sources) != 2 {
		t.Errorf("the target saw %d clients, want 2", len(sources))
	}
}

// TestKeptUDPPortTellsTheClient checks the PROXY header of a datagram.
func TestKeptUDPPortTellsTheClient(t *testing.T) {
	pod := open(t, podConfig())
	received := make(chan []byte, 1)
	server := udpServer(t, func(query []byte, _ netip.AddrPort) [][]byte { received <- query; return nil })
	if err := pod.Keep(KeptPort{Network: "udp", Port: 5353, Dial: dialUDP(server), Proxy: true}); err != nil {
		t.Fatal(err)
	}
	pod.sendsTo(asking, "data")
	want := "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x12\x00\x0c\x0a\xf4\x09\x09\x0a\xf4\x01\x07\x0f\xa0\x14\xe9data"
	if got := within(t, received); string(got) != want {
		t.Errorf("the target got %q, want %q", got, want)
	}
}

// TestKeptUDPPortRefuses checks ICMP port unreachable for a target that is not there, and for one that cannot be dialled.
func TestKeptUDPPortRefuses(t *testing.T) {
	for name, dial := range map[string]Dial{
		"no target": dialUDP(refusing(t)),
		"no dial":   func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, errors.New("no way") },
	} {
		t.Run(name, func(t *testing.T) {
			pod := keepUDP(t, podConfig(), dial)
			pod.sendsTo(asking, "anyone?")
			frame := pod.next().data
			checkChecksums(t, frame)
			icmp, ok := decode(t, frame).Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
			if !ok || icmp.TypeCode != layers.CreateICMPv4TypeCode(3, 3) {
				t.Fatalf("got %x, want port unreachable", frame)
			}
			quote := gopacket.NewPacket(icmp.Payload, layers.LayerTypeIPv4, gopacket.Default)
			ip, udp := quote.Layer(layers.LayerTypeIPv4).(*layers.IPv4), quote.Layer(layers.LayerTypeUDP).(*layers.UDP)
			if !sameIP(ip.SrcIP, asking.Addr()) || !sameIP(ip.DstIP, podAddress) || udp.SrcPort != 4000 || udp.DstPort != 5353 || string(udp.Payload) != "anyone?" {
				t.Errorf("quoted %s", quote)
			}
			if len(portUnreachable(asking, addrPort(podAddress, 1), make([]byte, 1400))) != familyIPv4.maxError {
				t.Error("the error about a large datagram has another length than allowed")
			}
		})
	}
}

// TestKeptUDPPortDoesNotAmplify checks that a client which does not send again gets few answers, and one that does gets all.
func TestKeptUDPPortDoesNotAmplify(t *testing.T) {
	const many = 3 * maxUnconfirmed
	pod := keepUDP(t, podConfig(), dialUDP(udpServer(t, repeat(many))))
	pod.sendsTo(asking, "spoofed")
	for range maxUnconfirmed {
		pod.receives(asking, "spoofed")
	}
	other := addrPort(otherAddress, 4001)
	pod.sendsTo(other, "again")
	for range maxUnconfirmed {
		pod.receives(other, "again")
	}
	pod.sendsTo(other, "confirmed")
	for seen := 0; seen < many; {
		if udp := pod.nextPacket().Layer(layers.LayerTypeUDP).(*layers.UDP); string(udp.Payload) == "confirmed" {
			seen++
		} else if udp.DstPort == 4000 {
			t.Fatal("the client that did not send again got more answers")
		}
	}
}

// flowsOf returns the flows of the kept port.
func flowsOf(e *Endpoint) *flows {
	s, _ := e.flows.Load(addrPort(e.cfg.addresses()[0], 5353))
	return s.(*flows)
}

// count returns the number of flows.
func (s *flows) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byUse.Len()
}

// TestKeptUDPFlowsEnd checks that a flow ends after a time without a datagram of its client, although the target goes on, and after an ICMP
// error of the client, and that its socket is closed.
func TestKeptUDPFlowsEnd(t *testing.T) {
	clock := faketime.NewManualClock()
	cfg := podConfig()
	cfg.clock = clock
	pod := keepUDP(t, cfg, dialUDP(udpServer(t, repeat(1))))
	pod.sendsTo(asking, "first")
	pod.receives(asking, "first")
	open := openSockets(t)
	clock.Advance(flowIdle - time.Second)
	pod.sendsTo(asking, "second")
	pod.receives(asking, "second")
	clock.Advance(flowIdle - time.Second)
	if flowsOf(pod.Endpoint).count() != 1 {
		t.Error("a datagram of the client does not prolong its flow")
	}
	clock.Advance(time.Second)
	await(t, "the idle flow to end", func() bool { return flowsOf(pod.Endpoint).count() == 0 && openSockets(t) < open })

	pod.sendsTo(asking, "third")
	frame := pod.next().data
	pod.put(serialise(t, etherHeader(layers.EthernetTypeIPv4), ipHeader(otherAddress, podAddress, layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 3)}, gopacket.Payload(frame[14:])))
	await(t, "the refused flow to end", func() bool { return flowsOf(pod.Endpoint).count() == 0 && openSockets(t) < open })
}

// TestKeptUDPFlowsAreBounded checks that the flows of one client, and of all, stay within their bounds, and that a new client is served however
// many there are: the least recent flow ends, first among its own.
func TestKeptUDPFlowsAreBounded(t *testing.T) {
	pod := keepUDP(t, podConfig(), dialUDP(udpServer(t, repeat(1))))
	exchange := func(from netip.AddrPort) {
		t.Helper()
		pod.sendsTo(from, "hello")
		pod.receives(from, "hello")
	}
	for i := range uint16(maxFlows) {
		exchange(addrPort(otherAddress, 10000+i))
	}
	if n := flowsOf(pod.Endpoint).count(); n != 192 {
		t.Errorf("one client has %d flows, want 192", n)
	}
	exchange(asking)
	for i := range uint16(2 * maxFlows) {
		if i%100 == 0 {
			exchange(asking)
		}
		exchange(addrPort(netip.AddrFrom4([4]byte{10, 3, byte(i >> 8), byte(i)}), 5300))
	}
	s := flowsOf(pod.Endpoint)
	if n := s.count(); n != maxFlows {
		t.Errorf("%d flows, want %d", n, maxFlows)
	}
	if s.find(asking) == nil {
		t.Error("the flow of a client that goes on sending was ended")
	}
}

// TestKeptUDPFlowsHavePlaces checks that a client with most of the flows, which begins new ones while others take what is free, does not get more
// flows than the port has places for.
func TestKeptUDPFlowsHavePlaces(t *testing.T) {
	pod := keepUDP(t, podConfig(), dialUDP(udpServer(t, repeat(1))))
	exchange := func(from netip.AddrPort) {
		t.Helper()
		pod.sendsTo(from, "hello")
		pod.receives(from, "hello")
	}
	for i := range uint16(4 * maxFlows) {
		exchange(addrPort(otherAddress, 10000+i))
		if i >= maxFlows && i%4 == 0 {
			exchange(addrPort(netip.AddrFrom4([4]byte{10, 3, byte(i >> 8), byte(i)}), 5300))
		}
	}
	s := flowsOf(pod.Endpoint)
	if n := s.count(); n > maxFlows || n != s.places.taken {
		t.Errorf("%d flows have %d places, want at most %d", n, s.places.taken, maxFlows)
	}
}

// TestKeptUDPDialsAreBounded checks that few targets are dialled at a time.
func TestKeptUDPDialsAreBounded(t *testing.T) {
	dialling := make(chan netip.AddrPort, maxFlows)
	pod := keepUDP(t, podConfig(), func(ctx context.Context, from netip.AddrPort) (net.Conn, error) {
		dialling <- from
		<-ctx.Done()
		return nil, ctx.Err()
	})
	for i := range uint16(2 * maxFlowDials) {
		pod.sendsTo(addrPort(otherAddress, 10000+i), "hello")
	}
	for range maxFlowDials {
		within(t, dialling)
	}
	pod.expectNoFrame() // all datagrams are handled
	if len(dialling) != 0 {
		t.Errorf("%d more dials", len(dialling))
	}
}
