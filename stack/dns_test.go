package stack

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// question returns a DNS query with this identifier and any text as the rest.
func question(id uint16, text string) []byte {
	message := binary.BigEndian.AppendUint16(nil, id)
	return append(append(message, make([]byte, dnsHeaderSize-2)...), text...)
}

// answerTo returns the answer of a test server.
func answerTo(query []byte, text string) []byte {
	reply := append(bytes.Clone(query), text...)
	reply[2] |= 0x80
	return reply
}

// udpServer is a name server on loopback. It writes what answer returns for each query, in order.
func udpServer(t *testing.T, answer func(query []byte, from netip.AddrPort) [][]byte) netip.AddrPort {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		buffer := make([]byte, 65535)
		for {
			n, from, err := socket.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			for _, reply := range answer(bytes.Clone(buffer[:n]), from) {
				_, _ = socket.WriteToUDPAddrPort(reply, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = socket.Close()
		serving.Wait()
	})
	return socket.LocalAddr().(*net.UDPAddr).AddrPort()
}

// answering returns the function of a server that answers every query with text appended.
func answering(text string) func([]byte, netip.AddrPort) [][]byte {
	return func(query []byte, _ netip.AddrPort) [][]byte { return [][]byte{answerTo(query, text)} }
}

// refusing returns an address without a server, where the kernel refuses connections.
func refusing(t *testing.T) netip.AddrPort {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	return socket.LocalAddr().(*net.UDPAddr).AddrPort()
}

// relay starts a relay to servers, which this process dials.
func relay(e *Endpoint, servers ...netip.AddrPort) error {
	return e.RelayDNS(servers, func(ctx context.Context, network string, server int) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, servers[server].String())
	})
}

// openRelay returns a server endpoint that relays to servers.
func openRelay(t *testing.T, servers ...netip.AddrPort) *tapped {
	t.Helper()
	server := open(t, serverConfig())
	if err := relay(server.Endpoint, servers...); err != nil {
		t.Fatal(err)
	}
	return server
}

// ask sends a question of the guest.
func (p *tapped) ask(message []byte) {
	p.t.Helper()
	p.put(udpFrame(p.t, addrPort(podAddress, 40000), addrPort(serverAddress, 53), message))
}

// expectAnswer checks the next datagram of the relay.
func (p *tapped) expectAnswer(want []byte) {
	p.t.Helper()
	frame := p.next().data
	checkChecksums(p.t, frame)
	udp := decode(p.t, frame).Layer(layers.LayerTypeUDP).(*layers.UDP)
	if udp.SrcPort != 53 || udp.DstPort != 40000 || !bytes.Equal(udp.Payload, want) {
		p.t.Errorf("from %d to %d: %q, want %q", udp.SrcPort, udp.DstPort, udp.Payload, want)
	}
}

func TestDNSOverUDP(t *testing.T) {
	relay := openRelay(t, udpServer(t, answering(" here")))
	for id := range uint16(2 * dnsMaxQueries) { // each gives its place back
		query := question(id, "who?")
		relay.ask(query)
		relay.expectAnswer(answerTo(query, " here"))
	}
}

func TestDNSFallsBackToTheNextServer(t *testing.T) {
	silent := udpServer(t, func([]byte, netip.AddrPort) [][]byte { return nil })
	relay := openRelay(t, refusing(t), silent, udpServer(t, answering(" third")))
	query := question(7, "who?")
	relay.ask(query)
	relay.expectAnswer(answerTo(query, " third"))
}

func TestDNSPassesOverWhatIsNoAnswer(t *testing.T) {
	relay := openRelay(t, udpServer(t, func(query []byte, _ netip.AddrPort) [][]byte {
		forged := answerTo(query, " forged")
		forged[1]++
		return [][]byte{{}, []byte("short"), query, forged, answerTo(query, " right")}
	}))
	query := question(7, "who?")
	relay.ask(query)
	relay.expectAnswer(answerTo(query, " right"))
}

func TestDNSAsksFromAnotherPortEachTime(t *testing.T) {
	var ports sync.Map
	relay := openRelay(t, udpServer(t, func(query []byte, from netip.AddrPort) [][]byte {
		ports.Store(from.Port(), true)
		return [][]byte{answerTo(query, "")}
	}))
	for id := range uint16(8) {
		relay.ask(question(id, "who?"))
		relay.next()
	}
	different := 0
	ports.Range(func(any, any) bool { different++; return true })
	if different < 2 {
		t.Errorf("8 questions from %d ports", different)
	}
}

func TestDNSIgnoresWhatIsNoQuestion(t *testing.T) {
	relay := openRelay(t, udpServer(t, answering("")))
	for _, message := range [][]byte{nil, []byte("short"), answerTo(question(1, "x"), "")} {
		relay.ask(message)
	}
	query := question(7, "who?")
	relay.ask(query)
	relay.expectAnswer(answerTo(query, ""))
}

// TestDNSBoundsQuestions checks the bound of questions, which is one for both addresses of the endpoint.
func TestDNSBoundsQuestions(t *testing.T) {
	if dnsMaxQueries < 150 {
		t.Errorf("%d questions at once; dnsmasq asks 150", dnsMaxQueries)
	}
	asked := make(chan struct{}, 2*dnsMaxQueries)
	core, logs := observer.New(zap.WarnLevel)
	cfg := serverConfigIPv6()
	cfg.Log = zap.New(core)
	server := open(t, cfg)
	err := relay(server.Endpoint, udpServer(t, func([]byte, netip.AddrPort) [][]byte {
		asked <- struct{}{}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for id := range uint16(dnsMaxQueries) {
		server.ask(question(id, "who?"))
		within(t, asked)
	}
	server.ask(question(dnsMaxQueries, "one too many"))
	server.put(udpIPv6(t, netip.AddrPortFrom(podIPv6, 40000), netip.AddrPortFrom(serverIPv6, 53), string(question(0, "one more"))))
	await(t, "the drops", func() bool { return logs.FilterMessageSnippet("question dropped").Len() == 2 })
	if n := len(asked); n != 0 {
		t.Errorf("%d questions beyond the bound were asked", n)
	}
}

func TestRelayDNSChecksItsServers(t *testing.T) {
	server := open(t, serverConfig())
	tests := []struct {
		servers []netip.AddrPort
		want    string
	}{
		{nil, "at least one server"},
		{[]netip.AddrPort{{}}, "want an address"},
		{[]netip.AddrPort{netip.MustParseAddrPort("127.0.0.53:0")}, "and a port"},
		{[]netip.AddrPort{addrPort(serverAddress, 53)}, "other than [169.254.75.10]"},
	}
	if err := server.RelayDNS([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.53:53")}, nil); err == nil {
		t.Error("no function that dials: want an error")
	}
	for _, test := range tests {
		if err := relay(server.Endpoint, test.servers...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("RelayDNS(%v): %v, want %q", test.servers, err, test.want)
		}
	}
}

// tcpServer is a name server on loopback over TCP.
func tcpServer(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(target(t, func(c *net.TCPConn) {
		for {
			query, err := readMessage(c)
			if err != nil {
				return
			}
			_ = writeMessage(c, answerTo(query, text))
		}
	}))
}

// newGuest returns a guest beside a relay to servers.
func newGuest(t *testing.T, servers ...netip.AddrPort) (guest, server *Endpoint) {
	t.Helper()
	pod, client, _ := newPair(t)
	if err := relay(pod, servers...); err != nil {
		t.Fatal(err)
	}
	return client, pod
}

func TestDNSOverTCP(t *testing.T) {
	guest, server := newGuest(t, refusing(t), tcpServer(t, strings.Repeat("long ", 10000)))
	c := dialPair(t, guest, server, dnsPort)
	for id := range uint16(3) {
		query := question(id, "who?")
		if err := writeMessage(c, query); err != nil {
			t.Fatal(err)
		}
		reply, err := readMessage(c)
		if err != nil || !bytes.Equal(reply, answerTo(query, strings.Repeat("long ", 10000))) {
			t.Errorf("question %d: %d bytes, %v", id, len(reply), err)
		}
	}
}

func TestDNSOverTCPEndsConnections(t *testing.T) {
	guest, server := newGuest(t, refusing(t))
	for name, message := range map[string][]byte{
		"no server answers": question(1, "who?"), "too short": []byte("short"), "a reply": answerTo(question(1, "x"), ""),
	} {
		c := dialPair(t, guest, server, dnsPort)
		if err := writeMessage(c, message); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(timeout))
		if n, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: read %d bytes, %v; want the end", name, n, err)
		}
	}
}

func TestDNSOverTCPBoundsConnections(t *testing.T) {
	guest, server := newGuest(t, tcpServer(t, ""))
	first := dialPair(t, guest, server, dnsPort)
	for range dnsMaxConns - 1 {
		dialPair(t, guest, server, dnsPort)
	}
	await(t, "a refusal", func() bool {
		c, err := tryDialPair(guest, server, dnsPort)
		if err == nil {
			_ = c.Close()
		}
		return err != nil && strings.Contains(err.Error(), "refused")
	})
	_ = first.Close()
	await(t, "a free place", func() bool {
		c, err := tryDialPair(guest, server, dnsPort)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}
