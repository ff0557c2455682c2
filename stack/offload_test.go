package stack

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// join moves frames between two endpoints as they are, offloads and all, and counts those to segment that come from a.
// The end of the test closes both.
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

// newPair makes a pod endpoint and a client that takes and sends frames to segment, as a guest or a wire with offloads.
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
	_ = c.SetDeadline(time.Now().Add(connectionPatience))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// tryDialPair is dialPair for a port that may refuse.
func tryDialPair(client, pod *Endpoint, port uint16) (*gonet.TCPConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return gonet.DialContextTCP(ctx, client.stack, pod.full(port), header.IPv4ProtocolNumber)
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

// Two questions of a resolver in one frame are two questions; a frame of more datagrams than anyone sends is none.
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
	if n := server.Counters().TxFrames.Load(); n != 1 {
		t.Errorf("%d frames were delivered, want 1", n)
	}
	many := udpFrame(t, addrPort(podAddress, 40000), addrPort(serverAddress, 53), make([]byte, maxDatagrams+1))
	none := offload
	offload.GSOSize, none.CsumStart = 1, 0
	server.Transmit([]vswitch.Frame{{Data: many, Offload: offload}, {Data: frame, Offload: none}})
	if unwanted, bad := server.drops(vswitch.Unwanted), server.drops(vswitch.BadOffload); unwanted != 1 || bad != 1 {
		t.Errorf("%d unwanted, %d with a bad offload; want one of each", unwanted, bad)
	}
}
