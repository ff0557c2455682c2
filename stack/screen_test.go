package stack

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// A client is a hand-made end of one connection to port 8080 of an endpoint. It sends what it is told.
type client struct {
	*tapped
	port    uint16
	options []layers.TCPOption // of each segment but the SYN
	seq     uint32             // of the next segment
	ack     uint32             // end of the data that the endpoint has sent
}

// optionMSSOf returns an MSS option, which needs no padding.
func optionMSSOf(mss uint16) layers.TCPOption {
	return layers.TCPOption{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: binary.BigEndian.AppendUint16(nil, mss)}
}

// timestamps returns a timestamps option.
func timestamps(value, echo uint32) []layers.TCPOption {
	data := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, value), echo)
	return []layers.TCPOption{{OptionType: layers.TCPOptionKindNop}, {OptionType: layers.TCPOptionKindNop},
		{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: data}}
}

// segment builds a segment of the client.
func (c *client) segment(change func(*layers.TCP), payload string) []byte {
	c.t.Helper()
	ip := ipHeader(otherAddress, podAddress, layers.IPProtocolTCP)
	segment := &layers.TCP{SrcPort: layers.TCPPort(c.port), DstPort: 8080, Seq: c.seq, Ack: c.ack, Window: 65535, Options: c.options}
	change(segment)
	if err := segment.SetNetworkLayerForChecksum(ip); err != nil {
		c.t.Fatal(err)
	}
	return serialise(c.t, etherHeader(layers.EthernetTypeIPv4), ip, segment, gopacket.Payload(payload))
}

// sendSYN sends a SYN with these options.
func (c *client) sendSYN(seq uint32, options ...layers.TCPOption) {
	c.t.Helper()
	c.put(c.segment(func(s *layers.TCP) { s.SYN, s.Seq, s.Ack, s.Options = true, seq, 0, options }, ""))
}

// sendACK acknowledges what the client has received.
func (c *client) sendACK() {
	c.t.Helper()
	c.put(c.segment(func(s *layers.TCP) { s.ACK = true }, ""))
}

// receive returns the next segment of the endpoint, which must have a checked offload header.
func (c *client) receive() (captured, *layers.TCP) {
	c.t.Helper()
	frame := c.next()
	offload := frame.offload
	if !vnet.Check(&offload, frame.data) {
		c.t.Fatalf("impossible offload %+v", frame.offload)
	}
	segment, ok := decode(c.t, frame.data).Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !ok {
		c.t.Fatalf("not TCP: %x", frame.data)
	}
	return frame, segment
}

// connect opens a connection.
func (c *client) connect(options ...layers.TCPOption) {
	c.t.Helper()
	c.seq = 1000
	c.sendSYN(c.seq, options...)
	_, answer := c.receive()
	if !answer.SYN || !answer.ACK {
		c.t.Fatalf("want SYN-ACK, got %+v", answer)
	}
	c.seq, c.ack = c.seq+1, answer.Seq+1
	c.sendACK()
}

// newClient returns a client of a new endpoint, whose port 8080 is kept with a target that writes data of this length and closes.
func newClient(t *testing.T, cfg Config, length int64) *client {
	t.Helper()
	to := target(t, func(conn *net.TCPConn) { // ends after the endpoint, which is closed first
		_, _ = io.CopyN(conn, zeros{}, length)
		_ = conn.CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	})
	c := &client{tapped: open(t, cfg), port: 4000}
	keep(t, c.Endpoint, 8080, to)
	return c
}

// id returns the connection's addresses and ports at the endpoint.
func (c *client) id() netstack.TransportEndpointID {
	return netstack.TransportEndpointID{LocalAddress: stackAddress(podAddress), LocalPort: 8080,
		RemoteAddress: stackAddress(otherAddress), RemotePort: c.port}
}

// tooBig builds "fragmentation needed" about a segment of the endpoint with this sequence number.
func (c *client) tooBig(code uint8, mtu uint16, seq uint32, change func(quoted []byte)) []byte {
	c.t.Helper()
	quoted := serialise(c.t, ipHeader(podAddress, otherAddress, layers.IPProtocolTCP),
		gopacket.Payload(binary.BigEndian.AppendUint32([]byte{0x1f, 0x90, byte(c.port >> 8), byte(c.port)}, seq)))
	if change != nil {
		change(quoted)
	}
	router := netip.MustParseAddr("10.9.9.9")
	return serialise(c.t, etherHeader(layers.EthernetTypeIPv4), ipHeader(router, podAddress, layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, code), Seq: mtu}, gopacket.Payload(quoted))
}

// nextSize acknowledges data until the endpoint sends a frame of several segments, and returns their size.
func (c *client) nextSize() int {
	c.t.Helper()
	for {
		c.sendACK()
		frame, segment := c.receive()
		if end := segment.Seq + uint32(len(segment.Payload)); int32(end-c.ack) > 0 {
			c.ack = end
		}
		if frame.offload.GSOType != vnet.GSONone {
			return int(frame.offload.GSOSize)
		}
	}
}

// TestForgedErrors checks that ICMP errors change nothing without the sequence number of data in flight, and that the MTU in one with it
// has a floor.
func TestForgedErrors(t *testing.T) {
	cfg := podConfig()
	cfg.clock = faketime.NewManualClock() // no retransmissions
	c := newClient(t, cfg, 8<<20)
	c.connect(optionMSSOf(1410))
	size := c.nextSize()
	if size != 1410 {
		t.Fatalf("segments of %d bytes, want 1410", size)
	}
	c.sendACK()
	_, data := c.receive() // in flight from here on
	forged := map[string][]byte{
		"before the data":     c.tooBig(4, 68, data.Seq-1, nil),
		"behind the data":     c.tooBig(4, 0, data.Seq+1<<28, nil),
		"half a circle ahead": c.tooBig(4, 68, data.Seq+1<<31, nil),
		"another port":        c.tooBig(4, 68, data.Seq, func(q []byte) { q[23]++ }),
		"another source":      c.tooBig(4, 68, data.Seq, func(q []byte) { q[15]++ }),
		"another protocol":    c.tooBig(4, 68, data.Seq, func(q []byte) { q[9] = 17 }),
		"a later fragment":    c.tooBig(4, 68, data.Seq, func(q []byte) { q[7] = 1 }),
		"port unreachable":    c.tooBig(3, 68, data.Seq, nil),
		"cut":                 patch(c.tooBig(4, 68, data.Seq, nil)[:14+20+8+27], 16, 0, 20+8+27),
	}
	dropped := c.drops(vswitch.Unwanted)
	for name, frame := range forged {
		c.put(frame)
		if n := c.drops(vswitch.Unwanted); n != dropped+1 {
			t.Errorf("%s: %d drops, want one", name, n-dropped)
		}
		dropped = c.drops(vswitch.Unwanted)
	}
	c.ack = data.Seq + uint32(len(data.Payload))
	if got := c.nextSize(); got != size {
		t.Errorf("segments of %d bytes after forged errors, want %d", got, size)
	}
	c.put(c.tooBig(4, 68, c.unacknowledged(t), nil))
	for got := size; got != int(familyIPv4.minPathMTU)-40; got = c.nextSize() { // after the frames that were sent before
		if got != size {
			t.Fatalf("segments of %d bytes after an error about data in flight, want %d", got, int(familyIPv4.minPathMTU)-40)
		}
		c.ack = c.sent(t)
	}
}

// sequences returns the connection's sequence numbers.
func (c *client) sequences(t *testing.T) (sequences, *tcp.Endpoint) {
	t.Helper()
	conn := c.connection(c.id())
	if conn == nil {
		t.Fatal("no connection")
	}
	s, ok := sequencesOf(conn)
	if !ok {
		t.Fatal("no sequence numbers")
	}
	return s, conn
}

func (c *client) unacknowledged(t *testing.T) uint32 {
	s, _ := c.sequences(t)
	return s.sndUna
}

func (c *client) sent(t *testing.T) uint32 {
	s, _ := c.sequences(t)
	return s.sndNxt
}

// TestSequences checks the numbers that are read by the names of netstack's fields.
func TestSequences(t *testing.T) {
	c := newClient(t, podConfig(), 10)
	c.connect(timestamps(77, 0)...)
	_, data := c.receive()
	await(t, "the data", func() bool { return c.sent(t) >= data.Seq+10 })
	s, _ := c.sequences(t)
	if s.sndUna != c.ack || s.rcvNxt != c.seq || s.recentTimestamp != 77 || !s.hasTimestamps {
		t.Errorf("%+v, want %d acknowledged, %d received, the timestamp 77", s, c.ack, c.seq)
	}
}

// TestTinyMSS checks that a client with a tiny MSS gets frames that may be segmented.
func TestTinyMSS(t *testing.T) {
	for _, mss := range []uint16{1, 47, 48, 63, 64, 103} {
		for _, others := range [][]layers.TCPOption{nil, append(timestamps(1, 0), layers.TCPOption{OptionType: layers.TCPOptionKindSACKPermitted,
			OptionLength: 2}, layers.TCPOption{OptionType: layers.TCPOptionKindNop})} { // MSS at an odd offset
			c := newClient(t, podConfig(), 4<<20)
			c.options = nil
			c.connect(append(others, optionMSSOf(mss))...)
			for range 30 {
				if size := c.nextSize(); size < 64 { // receive checks the offload header
					t.Fatalf("MSS %d: segments of %d bytes", mss, size)
				}
			}
		}
	}
}

// timeWaiting returns a client whose connection is in TIME-WAIT.
func timeWaiting(t *testing.T, cfg Config, options ...layers.TCPOption) *client {
	c := newClient(t, cfg, 0)
	c.connect(options...)
	_, fin := c.receive()
	if !fin.FIN {
		t.Fatalf("want FIN, got %+v", fin)
	}
	c.ack = fin.Seq + 1
	c.put(c.segment(func(s *layers.TCP) { s.ACK, s.FIN = true, true }, ""))
	c.receive()
	c.seq++
	await(t, "TIME-WAIT", func() bool {
		conn := c.connection(c.id())
		return conn != nil && conn.EndpointState() == tcp.StateTimeWait
	})
	return c
}

// TestTimeWaitIsReused checks which SYNs open a new connection from a port whose last one is in TIME-WAIT, at once and without a reset.
func TestTimeWaitIsReused(t *testing.T) {
	tests := []struct {
		name         string
		before       []layers.TCPOption // of the connection in TIME-WAIT
		offset       int32              // of the SYN's sequence number
		now          []layers.TCPOption // of the SYN
		want, spoilt bool
	}{
		{name: "a higher sequence number", offset: 1, want: true},
		{name: "a lower sequence number", offset: -1},
		{name: "the same sequence number"},
		{name: "a higher timestamp", before: timestamps(100, 0), offset: -1 << 20, now: timestamps(101, 0), want: true},
		{name: "a lower timestamp", before: timestamps(100, 0), offset: 1 << 20, now: timestamps(99, 0)},
		{name: "the same timestamp", before: timestamps(100, 0), offset: 1 << 20, now: timestamps(100, 0), want: true},
		{name: "no timestamp now", before: timestamps(100, 0), offset: 1, want: true},
		{name: "a timestamp only now", offset: -1, now: timestamps(100, 0)},
		{name: "a wrong checksum", offset: 1, spoilt: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := podConfig()
			cfg.clock = faketime.NewManualClock() // nobody leaves TIME-WAIT by age
			c := newClientInTimeWait(t, cfg, test.before)
			syn := c.segment(func(s *layers.TCP) {
				s.SYN, s.Seq, s.Ack, s.Options = true, uint32(int32(c.seq)+test.offset), 0, test.now
			}, "")
			if test.spoilt {
				syn[offNetwork+header.IPv4MinimumSize+offTCPChecksum]++
			}
			c.put(syn)
			if !test.want {
				if conn := c.connection(c.id()); conn == nil || conn.EndpointState() != tcp.StateTimeWait {
					t.Error("the connection in TIME-WAIT is gone")
				}
				return
			}
			if _, answer := c.receive(); !answer.SYN || !answer.ACK || answer.Ack != uint32(int32(c.seq)+test.offset)+1 {
				t.Errorf("want SYN-ACK, got %+v", answer)
			}
		})
	}
}

// newClientInTimeWait is timeWaiting with the options in each segment.
func newClientInTimeWait(t *testing.T, cfg Config, options []layers.TCPOption) *client {
	t.Helper()
	c := timeWaiting(t, cfg, options...)
	c.options = nil
	return c
}

// TestClientWithoutLaterTimestamps checks a client that has timestamps in its SYN only.
func TestClientWithoutLaterTimestamps(t *testing.T) {
	c := newClient(t, podConfig(), 100)
	c.connect(append([]layers.TCPOption{optionMSSOf(1410)}, timestamps(5, 0)...)...)
	if _, data := c.receive(); len(data.Payload) != 100 {
		t.Errorf("want 100 bytes of data, got %+v", data)
	}
}

// TestFirstDataWithoutTimestamps checks that the data of a segment that ends the handshake is not lost, and that a wrong checksum stays
// wrong.
func TestFirstDataWithoutTimestamps(t *testing.T) {
	c := newClient(t, podConfig(), 0)
	c.seq = 1000
	c.sendSYN(c.seq, timestamps(5, 0)...)
	_, answer := c.receive()
	c.seq, c.ack = c.seq+1, answer.Seq+1
	frame := c.segment(func(s *layers.TCP) { s.ACK = true }, "odd")
	spoilt := append([]byte(nil), frame...)
	spoilt[54]++
	c.put(spoilt)
	if n := c.stack.Stats().TCP.ChecksumErrors.Value(); n != 1 {
		t.Errorf("%d checksum errors, want 1", n)
	}
	c.put(frame)
	for {
		if _, got := c.receive(); got.Ack == c.seq+3 {
			return
		}
	}
}
