package stack

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// A rawPeer opens connections to port 8080 of an endpoint with frames that it builds itself. It follows no protocol: the function answer
// returns its replies.
type rawPeer struct {
	*Endpoint
	t      testing.TB
	answer func(p *rawPeer, from netip.AddrPort, got *layers.TCP)
	syns   int // sent

	mu       sync.Mutex
	answered map[netip.AddrPort]bool // by SYN-ACK or RST
}

// newRawPeer returns a peer of a new endpoint, whose port 8080 is kept with dial.
func newRawPeer(t testing.TB, cfg Config, dial Dial,
	answer func(*rawPeer, netip.AddrPort, *layers.TCP)) *rawPeer {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &rawPeer{Endpoint: e, t: t, answer: answer, answered: make(map[netip.AddrPort]bool)}
	if err := e.Keep(KeptPort{Network: "tcp", Port: 8080, Dial: dial}); err != nil {
		t.Fatal(err)
	}
	var taking sync.WaitGroup
	taking.Go(func() { drain(e, p.take) })
	t.Cleanup(func() {
		_ = e.Close()
		taking.Wait()
	})
	return p
}

// take receives a frame of the endpoint.
func (p *rawPeer) take(f vswitch.Frame) {
	packet := gopacket.NewPacket(f.Data, layers.LayerTypeEthernet, gopacket.NoCopy)
	got, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !ok {
		return
	}
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte(f.Data[offDestination:])), uint16(got.DstPort))
	if !got.RST {
		p.answer(p, from, got)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered[from] = true
}

// heard returns the number of answered SYNs.
func (p *rawPeer) heard() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.answered)
}

// say sends a segment that acknowledges got. Its sequence number is offset bytes after that of the first segment, or after the bytes that
// the endpoint has acknowledged.
func (p *rawPeer) say(from netip.AddrPort, got *layers.TCP, offset int, flags byte, payload []byte) {
	data := synFrame(p.t, from, addrPort(podAddress, 8080))
	next := got.Seq + uint32(len(got.Payload))
	if got.SYN || got.FIN {
		next++
	}
	binary.BigEndian.PutUint32(data[38:], got.Ack+uint32(offset))
	binary.BigEndian.PutUint32(data[42:], next)
	data[47] = flags
	data = append(data[:54], payload...)
	binary.BigEndian.PutUint16(data[16:], uint16(len(data)-14))
	h := mend(data, true)
	if len(payload) > 1400 {
		h.GSOType, h.GSOSize, h.HdrLen = vnet.GSOTCPv4, 1400, 54
	}
	p.Transmit([]vswitch.Frame{{Offload: h, Data: data}})
}

// put transmits one frame without offloads.
func (p *rawPeer) put(data []byte) { p.Transmit([]vswitch.Frame{{Data: data}}) }

// send sends n SYNs, each from a different address and port.
func (p *rawPeer) send(n int) {
	for range n {
		i := p.syns
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), uint16(1024+i>>16))
		p.Transmit([]vswitch.Frame{{Data: synFrame(p.t, from, addrPort(podAddress, 8080))}})
		p.syns++
	}
}

// open is send in small batches; it waits until each SYN was answered, or ignored because too many handshakes were in progress.
func (p *rawPeer) open(n int) {
	p.t.Helper()
	passedOver := p.stack.Stats().TCP.ForwardMaxInFlightDrop
	for ; n > 0; n -= 64 {
		p.send(min(n, 64))
		p.await("the SYNs to be answered", func() bool { return p.heard()+int(passedOver.Value()) >= p.syns })
	}
}

// await is await with the timeout for a connection.
func (p *rawPeer) await(what string, condition func() bool) {
	p.t.Helper()
	for range connectionTimeout / timeout {
		if eventually(condition) {
			return
		}
	}
	p.t.Fatalf("timeout: waited for %s", what)
}

// connections returns the number of connections of netstack.
func (p *rawPeer) connections() int { return len(p.stack.RegisteredEndpoints()) }

// in returns the number of connections in these states.
func (p *rawPeer) in(states ...tcp.EndpointState) (n int) {
	for _, socket := range p.stack.RegisteredEndpoints() {
		known, ok := socket.(*tcp.Endpoint)
		if ok && slices.Contains(states, known.EndpointState()) {
			n++
		}
	}
	return n
}
