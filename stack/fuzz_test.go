package stack

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"gvisor.dev/gvisor/pkg/refs"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// FuzzNetstack sends frames from the guest and the wire through the forwarder of IP mode to both endpoints, advances the clock, and
// forwards their answers. Netstack does not panic and leaks no packet; each endpoint sends only from its own address, with complete
// headers.
//
// An input is a sequence of steps: one byte of bits (see below), the length of the frame in two bytes, and the frame.
func FuzzNetstack(f *testing.F) {
	for _, s := range pathSeeds(f) {
		f.Add(s.input)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 1<<14 {
			return
		}
		p := newPath(t)
		defer p.close()
		for steps := 0; len(input) >= 3 && steps < 64; steps++ {
			what, n := input[0], min(int(binary.BigEndian.Uint16(input[1:])), len(input)-3)
			p.step(what, bytes.Clone(input[3:3+n]))
			input = input[3+n:]
		}
	})
}

// The bits of a step: the source of the frame, whether its checksums are corrected, and the pause before it.
const (
	fromWire  = 1 << iota // not from the guest
	repair                // its IPv4 and transport checksums are computed
	undone                // its transport checksum is left to us
	toGuest               // the guest is the holder from now on, and not the switch
	pauseBits = 4         // the rest says which of pauses
)

// pauses are the timeouts of netstack: retransmission, reassembly, handshake, keepalive.
func pauses() []time.Duration {
	return []time.Duration{0, time.Millisecond, 200 * time.Millisecond, time.Second, 31 * time.Second, time.Hour}
}

// A path is the frame path of IP mode without its devices.
type path struct {
	t         *testing.T
	clock     *faketime.ManualClock
	now       time.Duration
	delegate  *vswitch.Delegate
	endpoints map[int]*Endpoint // by port
	given     map[int]uint64    // frames, by port
	outs      [4]*vswitch.Out
	lease     dhcpsrv.Lease
}

func newPath(t *testing.T) *path {
	p := &path{t: t, clock: faketime.NewManualClock(), endpoints: map[int]*Endpoint{}, given: map[int]uint64{}}
	pod := podConfig()
	pod.clock = p.clock
	server := Config{Address: serverAddress, MAC: routerMAC, MTU: 1450, clock: p.clock}
	for port, cfg := range map[int]Config{vswitch.PortPod: pod, vswitch.PortServer: server} {
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		p.endpoints[port] = e
	}
	keep(t, p.endpoints[vswitch.PortPod], 8080, "127.0.0.1:1")
	if err := p.endpoints[vswitch.PortServer].ServeDHCP(p.answer); err != nil {
		t.Fatal(err)
	}
	if err := relay(p.endpoints[vswitch.PortServer], netip.MustParseAddrPort("127.0.0.1:1")); err != nil {
		t.Fatal(err)
	}
	gateway := netip.MustParseAddr("10.244.1.1")
	p.delegate = vswitch.NewDelegate(vswitch.DelegateConfig{
		WireMAC: wireMAC, RouterMAC: routerMAC, Address: netip.PrefixFrom(podAddress, 24), Gateway: gateway,
		Server: serverAddress, MTU: 1450, GuestMTU: 1450, KeptTCP: []uint16{8080},
		Routes:    []vswitch.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: gateway}},
		Permanent: []vswitch.Neighbour{{Addr: gateway, MAC: otherMAC}},
	})
	p.delegate.IPv4.SetHolder(vswitch.HolderSwitch, guestMAC)
	for port := range p.outs {
		p.outs[port] = vswitch.NewOut(len(p.outs), new(vswitch.Counters))
	}
	return p
}

// answer is the DHCP server. One goroutine calls it.
func (p *path) answer(message []byte) ([]byte, netip.AddrPort, vswitch.MAC) {
	offer, _, err := dhcpsrv.NewOffer(dhcpsrv.Offer{Address: netip.PrefixFrom(podAddress, 24), Server: serverAddress, MTU: 1450, Lease: time.Hour})
	if err != nil {
		return nil, netip.AddrPort{}, vswitch.MAC{}
	}
	r := dhcpsrv.Answer(offer, dhcpsrv.Query{Message: message, Lease: p.lease})
	p.lease = r.Lease
	return r.Reply, r.To, vswitch.MAC(r.ToMAC)
}

func (p *path) step(what byte, data []byte) {
	pause := pauses()[int(what>>pauseBits)%len(pauses())]
	p.now += pause
	p.clock.Advance(pause)
	if what&toGuest != 0 {
		p.delegate.IPv4.SetHolder(vswitch.HolderGuest, guestMAC)
	} else {
		p.delegate.IPv4.SetHolder(vswitch.HolderSwitch, guestMAC)
	}
	frame := vswitch.Frame{Data: data}
	if what&(repair|undone) != 0 {
		frame.Offload = mend(data, what&undone != 0)
	}
	port := vswitch.PortGuest
	if what&fromWire != 0 {
		port = vswitch.PortUplink
	}
	before := p.given[vswitch.PortServer]
	p.forward(port, frame)
	p.drain()
	if p.given[vswitch.PortServer] == before {
		return
	}
	for end := time.Now().Add(settle); time.Now().Before(end); { // the services have goroutines of their own
		runtime.Gosched()
		p.drain()
	}
}

// settle is the time for an answer of the server endpoint's services.
const settle = 300 * time.Microsecond

// drain forwards the frames of the endpoints until there are no more.
func (p *path) drain() {
	batch := make([]vswitch.Frame, vswitch.BatchSize)
	for quiet := false; !quiet; {
		quiet = true
		for port, e := range p.endpoints {
			if e.link.queue.waiting() == 0 {
				continue
			}
			quiet = false
			n, err := e.Receive(batch)
			if err != nil {
				p.t.Fatal(err)
			}
			for _, frame := range batch[:n] {
				p.check(port, frame)
				p.forward(port, frame)
			}
		}
	}
}

// waiting returns the number of packets in the queue.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n
}

func (p *path) forward(from int, frame vswitch.Frame) {
	out := p.outs[from]
	p.delegate.Forward(from, []vswitch.Frame{frame}, p.now, out)
	out.Flush(func(port int, frames []vswitch.Frame) {
		e := p.endpoints[port]
		if e == nil {
			return
		}
		p.given[port] += uint64(len(frames))
		for i := range frames {
			before := bytes.Clone(frames[i].Data)
			e.Transmit(frames[i : i+1])
			if !bytes.Equal(before, frames[i].Data) {
				p.t.Fatalf("the endpoint changed the frame %x", before)
			}
		}
	})
}

// check checks a frame that an endpoint sends: its source address, and a packet that is complete but for its offload header.
func (p *path) check(port int, frame vswitch.Frame) {
	p.t.Helper()
	e, data := p.endpoints[port], frame.Data
	if len(data) < endOfIPv4 || vswitch.MAC(data[6:]) != e.cfg.MAC {
		p.t.Fatalf("not a frame of the endpoint's: %x", data)
	}
	if binary.BigEndian.Uint16(data[offEthertype:]) == ethertypeARP {
		if !e.cfg.ARP || data[offARPOperation+1] != 2 || [4]byte(data[offARPSenderMAC+6:]) != e.cfg.Address.As4() {
			p.t.Fatalf("ARP for an address that is not ours: %x", data)
		}
		return
	}
	if [4]byte(data[offSource:]) != e.cfg.Address.As4() {
		p.t.Fatalf("a packet from an address that is not ours: %x", data)
	}
	exact := frame.Offload
	if !vnet.Check(&exact, data) || exact != frame.Offload {
		p.t.Fatalf("the header %+v is not exact: %x", frame.Offload, data)
	}
	pieces := vnet.Cut(frame.Offload, data)
	whole := make([]byte, vnet.WireLen(frame.Offload, data))
	for !pieces.Done() {
		n := pieces.Next(whole)
		if len(whole) > e.cfg.MTU+14 {
			p.t.Fatalf("%d bytes, the MTU is %d", len(whole), e.cfg.MTU)
		}
		if binary.BigEndian.Uint16(whole[offNetwork+6:])&0x3fff == 0 {
			checkChecksums(p.t, whole[:n])
		}
	}
	if port == vswitch.PortServer && data[offProtocol] == protocolUDP && binary.BigEndian.Uint16(data[endOfIPv4:]) == dhcpPort {
		reply, err := dhcpv4.FromBytes(data[endOfIPv4+8:])
		if err != nil || !reply.YourIPAddr.IsUnspecified() && !sameIP(reply.YourIPAddr, podAddress) {
			p.t.Fatalf("a DHCP reply gives another address, or is malformed (%v): %x", err, data)
		}
	}
}

// close closes the endpoints, and checks that every frame is counted and every packet of netstack released.
func (p *path) close() {
	p.drain()
	for port, e := range p.endpoints { // before Close, which counts the packets in the queue
		checkAccounts(p.t, e, p.given[port])
	}
	for _, e := range p.endpoints {
		_ = e.Close()
	}
	if !eventually(func() bool { return leaks() == nil }) { // a SYN's goroutine may be on its way to see that it is over
		refs.DoRepeatedLeakCheck() // ends the run: what stays behind would be found after every other input too
	}
}

// leaks returns the packets that netstack's reference counting finds alive.
func leaks() (found any) {
	defer func() { found = recover() }()
	refs.DoRepeatedLeakCheck()
	return nil
}
