package stack

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// join moves frames between two endpoints unchanged, with their offload headers, and counts the unsegmented ones of a. Both are closed
// at the end of the test.
func join(t testing.TB, a, b *Endpoint) (large *atomic.Int64) {
	large = new(atomic.Int64)
	var moving sync.WaitGroup
	moving.Go(func() {
		drain(a, func(f vswitch.Frame) {
			if f.Offload.GSOType != vnet.GSONone {
				large.Add(1)
			}
			b.Transmit([]vswitch.Frame{f})
		})
	})
	moving.Go(func() {
		drain(b, func(f vswitch.Frame) { a.Transmit([]vswitch.Frame{f}) })
	})
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
		moving.Wait()
	})
	return large
}

// newPair returns a pod endpoint and a client that receives and sends unsegmented frames, as a guest or a wire with offloads does.
func newPair(t testing.TB) (pod, client *Endpoint, large *atomic.Int64) {
	t.Helper()
	pod, err := New(podConfig())
	if err != nil {
		t.Fatal(err)
	}
	client, err = New(Config{Address: otherAddress, MAC: routerMAC, PeerMAC: wireMAC, MTU: 1450})
	if err != nil {
		t.Fatal(err)
	}
	return pod, client, join(t, client, pod)
}

// dialPair connects from client to a port of pod, which must be served.
func dialPair(t testing.TB, client, pod *Endpoint, port uint16) *gonet.TCPConn {
	t.Helper()
	c, err := tryDialPair(client, pod, port)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(connectionTimeout))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// tryDialPair is dialPair for a port that may refuse.
func tryDialPair(client, pod *Endpoint, port uint16) (*gonet.TCPConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return gonet.DialContextTCP(ctx, client.stack, full(netip.AddrPortFrom(pod.cfg.addresses()[0], port)), familyOf(pod.cfg.addresses()[0]).number)
}

func TestFramesToSegmentAreTaken(t *testing.T) {
	pod, client, large := newPair(t)
	keep(t, pod, 8080, target(t, echoBack))
	c := dialPair(t, client, pod, 8080)
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
	if large.Load() == 0 {
		t.Error("the pod endpoint met no frame to segment")
	}
	if drops := pod.Counters().Drops(); len(drops) != 0 {
		t.Errorf("drops: %v", drops)
	}
}

// Two questions of a resolver in one frame are both relayed.
func TestDatagramsToSegmentAreCut(t *testing.T) {
	server := openRelay(t, udpServer(t, answering("here")))
	asked := []string{string(question(1, "what")), string(question(2, "what"))}
	frame := udpFrame(t, addrPort(podAddress, 40000), addrPort(serverAddress, 53), []byte(asked[0]+asked[1]))
	offload := vnet.Header{
		Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOUDPL4, GSOSize: uint16(len(asked[0])), HdrLen: 42, CsumStart: 34, CsumOffset: 6,
	}
	server.Transmit([]vswitch.Frame{{Data: frame, Offload: offload}})
	var got []string
	for range asked {
		got = append(got, string(server.nextPacket().Layer(layers.LayerTypeUDP).LayerPayload()))
	}
	slices.Sort(got) // each is answered in its own time
	want := []string{string(answerTo([]byte(asked[0]), "here")), string(answerTo([]byte(asked[1]), "here"))}
	if !slices.Equal(got, want) {
		t.Errorf("answers %q, want %q", got, want)
	}
	if n := server.Counters().TxFrames.Load(); n != 2 {
		t.Errorf("%d datagrams were delivered, want 2", n)
	}
}

// What is to be segmented in a tunnel is delivered in segments.
func TestSegmentsInATunnelAreCut(t *testing.T) {
	server := open(t, serverConfig())
	server.link.Attach(&lame{})
	inner := udpFrame(t, addrPort(podAddress, 40000), addrPort(serverAddress, 53), make([]byte, 30))
	frame := udpFrame(t, addrPort(podAddress, 40000), addrPort(serverAddress, 4789), append([]byte{8, 0, 0, 0, 0, 0, 7, 0}, inner...))
	offload := vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOUDPL4 | vnet.GSOTunnelIPv4, GSOSize: 10, CsumStart: 84, CsumOffset: 6}
	server.Transmit([]vswitch.Frame{{Data: frame, Offload: offload}})
	if n := server.Counters().TxFrames.Load(); n != 3 {
		t.Errorf("%d frames were delivered, want 3; drops %v", n, server.Counters().Drops())
	}
}

// lame is a network stack that ignores packets, and panics on one of them.
type lame struct {
	netstack.NetworkDispatcher
	failing int // the packet's number, from 1
	met     int
}

func (l *lame) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *netstack.PacketBuffer) {
	if l.met++; l.met == l.failing {
		panic("fault")
	}
}

// Each datagram of a frame is delivered or dropped on its own; a frame that Linux cannot send is dropped as a whole.
func TestDatagramsCountEach(t *testing.T) {
	const whole = endOfIPv4 + header.UDPMinimumSize + 1 // bytes of a frame with one datagram of one byte
	tests := []struct {
		name               string
		datagrams, failing int
		change             func(*vnet.Header)
		sent               uint64
		drops              map[string]uint64
	}{
		{"one", 1, 0, nil, 1, map[string]uint64{}},
		{"more than a batch", vswitch.BatchSize + 1, 0, nil, vswitch.BatchSize + 1, map[string]uint64{}},
		{"as many as Linux sends", 128, 0, nil, 128, map[string]uint64{}},
		{"more than Linux sends", 129, 0, nil, 0, map[string]uint64{"bad-offload": 1}},
		{"no checksum to complete", 2, 0, func(h *vnet.Header) { h.CsumStart = 0 }, 0, map[string]uint64{"bad-offload": 1}},
		{"the first fails", 3, 1, nil, 2, map[string]uint64{"endpoint-fault": 1}},
		{"one in the middle fails", 3, 2, nil, 2, map[string]uint64{"endpoint-fault": 1}},
		{"the last fails", 3, 3, nil, 2, map[string]uint64{"endpoint-fault": 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := open(t, serverConfig())
			sound := server.link.networkDispatcher()
			offload := vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOUDPL4, GSOSize: 1, CsumStart: 34, CsumOffset: 6}
			if test.change != nil {
				test.change(&offload)
			}
			data := udpFrame(t, addrPort(podAddress, 40000), addrPort(serverAddress, 53), make([]byte, test.datagrams))
			server.link.Attach(&lame{failing: test.failing})
			server.Transmit([]vswitch.Frame{{Data: data, Offload: offload}})
			server.link.Attach(sound)
			sent, size, drops := server.Counters().TxFrames.Load(), server.Counters().TxBytes.Load(), server.Counters().Drops()
			if sent != test.sent || size != test.sent*whole || !maps.Equal(drops, test.drops) {
				t.Errorf("%d frames, %d bytes, drops %v; want %d, %d, %v", sent, size, drops, test.sent, test.sent*whole, test.drops)
			}
		})
	}
}
