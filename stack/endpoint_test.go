package stack

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"gvisor.dev/gvisor/pkg/tcpip"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

func TestNewChecksItsConfig(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no address", func(c *Config) { c.Address = netip.Addr{} }, "want an IPv4 address"},
		{"IPv6", func(c *Config) { c.Address = netip.MustParseAddr("fd00::1") }, `"fd00::1": want an IPv4 address`},
		{"unspecified", func(c *Config) { c.Address = netip.IPv4Unspecified() }, "want a unicast address"},
		{"multicast", func(c *Config) { c.Address = netip.MustParseAddr("224.0.0.1") }, "want a unicast address"},
		{"broadcast", func(c *Config) { c.Address = netip.MustParseAddr("255.255.255.255") }, "want a unicast address"},
		{"loopback", func(c *Config) { c.Address = netip.MustParseAddr("127.0.0.1") }, "want a unicast address"},
		{"no MAC", func(c *Config) { c.MAC = vswitch.MAC{} }, "endpoint MAC"},
		{"group MAC", func(c *Config) { c.MAC = vswitch.Broadcast }, "endpoint MAC"},
		{"group peer", func(c *Config) { c.PeerMAC = vswitch.Broadcast }, "endpoint peer MAC"},
		{"small MTU", func(c *Config) { c.MTU = 67 }, "endpoint MTU 67: want 68 to 65535"},
		{"large MTU", func(c *Config) { c.MTU = 65536 }, "endpoint MTU 65536: want 68 to 65535"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := podConfig()
			test.change(&cfg)
			if e, err := New(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New: %v, %v; want %q", e, err, test.want)
			}
		})
	}
}

func TestMTUIsThatOfIPPackets(t *testing.T) {
	for _, mtu := range []int{68, 1450, 65535} {
		cfg := podConfig()
		cfg.MTU = mtu
		pod := open(t, cfg)
		pod.put(echoRequest(t, otherAddress, podAddress, 1, make([]byte, mtu-28)))
		if got := len(pod.next().data); got != mtu+14 {
			t.Errorf("MTU %d: frame of %d bytes, want %d", mtu, got, mtu+14)
		}
	}
}

func TestReceiveBatches(t *testing.T) {
	pod, err := New(podConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer pod.Close()
	for size := range 40 {
		pod.Transmit([]vswitch.Frame{{Data: echoRequest(t, otherAddress, podAddress, 1, make([]byte, 30*size))}})
	}
	batch := make([]vswitch.Frame, 64)
	if n, err := pod.Receive(nil); n != 0 || err != nil {
		t.Errorf("empty batch: %d, %v", n, err)
	}
	var sizes []int
	for _, want := range []struct{ room, n int }{{5, 5}, {len(batch), vswitch.BatchSize}, {len(batch), 3}} {
		n, err := pod.Receive(batch[:want.room])
		if n != want.n || err != nil {
			t.Fatalf("got %d frames, %v; want %d", n, err, want.n)
		}
		for _, f := range batch[:n] {
			sizes = append(sizes, len(f.Data))
		}
	}
	for i, size := range sizes {
		if want := 42 + 30*i; size != want {
			t.Errorf("frame %d has %d bytes, want %d", i, size, want)
		}
	}
}

func TestFullQueueDropsAndCounts(t *testing.T) {
	pod, err := New(podConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer pod.Close()
	request := echoRequest(t, otherAddress, podAddress, 1, nil)
	for range queueLen + 7 {
		pod.Transmit([]vswitch.Frame{{Data: request}})
	}
	if got := pod.Counters().Drops()[vswitch.NoBuffer.String()]; got != 7 {
		t.Errorf("%d drops, want 7", got)
	}
}

// faulty is a network stack that panics.
type faulty struct{ netstack.NetworkDispatcher }

func (faulty) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *netstack.PacketBuffer) {
	panic("fault")
}

func TestFaultInNetstackCostsTheFrame(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	cfg := podConfig()
	cfg.Log = zap.New(core)
	pod := open(t, cfg)
	sound := pod.link.networkDispatcher()
	request := echoRequest(t, otherAddress, podAddress, 1, nil)
	pod.link.Attach(faulty{})
	pod.Transmit([]vswitch.Frame{{Data: request}, {Data: request}, {Data: request}})
	pod.link.Attach(sound)
	if got := pod.drops(vswitch.EndpointFault); got != 3 {
		t.Errorf("%d drops, want 3", got)
	}
	if got := logs.Len(); got != 3 {
		t.Errorf("%d log lines, want 3", got)
	}
	pod.expectNoFrame()
}

func TestCloseWithTrafficInFlight(t *testing.T) {
	hold := make(chan struct{})
	silent := udpServer(t, func([]byte, netip.AddrPort) [][]byte { return nil })
	hanging := target(t, func(*net.TCPConn) { <-hold })
	t.Cleanup(func() { close(hold) }) // before the targets' own

	pod, other := newPod(t)
	keep(t, pod, 8080, target(t, echoBack))
	keep(t, pod, 8081, hanging)
	err := errors.Join(
		relay(pod, silent),
		pod.ServeDHCP(func([]byte) ([]byte, netip.AddrPort, vswitch.MAC) {
			return []byte("reply"), addrPort(otherAddress, 68), peerMAC
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	var traffic sync.WaitGroup
	for range 4 {
		c := other.mustDial(t, 8080)
		traffic.Go(func() { _, _ = io.Copy(c, zeros{}) })
		traffic.Go(func() { _, _ = io.Copy(io.Discard, c) })
	}
	other.mustDial(t, 8081)
	other.mustDial(t, 53)
	stop := make(chan struct{})
	traffic.Go(func() {
		for source := uint16(1); ; source++ {
			select {
			case <-stop:
				return
			default:
			}
			half := netip.AddrPortFrom(netip.MustParseAddr("10.1.1.1"), source)
			pod.Transmit([]vswitch.Frame{
				{Data: echoRequest(t, otherAddress, podAddress, 1, nil)},
				{Data: synFrame(t, half, addrPort(podAddress, 8081))},
				{Data: udpFrame(t, half, addrPort(podAddress, 53), question(source, "?"))},
				{Data: udpFrame(t, half, addrPort(podAddress, 67), []byte("request"))},
			})
		}
	})
	await(t, "traffic", func() bool { return pod.Counters().TxFrames.Load() > 2000 })

	var closing sync.WaitGroup
	began := time.Now()
	for range 3 {
		closing.Go(func() { _ = pod.Close() })
	}
	closing.Wait()
	checkNoTasks(t)
	if took := time.Since(began); took > dnsTimeout*4/5 {
		t.Errorf("Close took %s: it waited for an answer", took)
	}
	close(stop)
	checkClosed(t, pod)
	other.stack.Close()
	traffic.Wait()
}

// checkNoTasks fails if a goroutine of a service runs.
func checkNoTasks(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, task := range []string{".(*acceptor).handle(", ".(*dnsRelay).relayUDP(", ".(*udpRelay).answer(", ".serveDHCP(", ".pump("} {
		if bytes.Contains(stacks, []byte(task)) {
			t.Errorf("after Close a goroutine is in %s)", task)
		}
	}
}

// zeros is a reader of zeros without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// checkClosed checks that e behaves as a closed port.
func checkClosed(t *testing.T, e *Endpoint) {
	t.Helper()
	if n, err := e.Receive(make([]vswitch.Frame, 1)); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive: %d, %v; want net.ErrClosed", n, err)
	}
	before := e.Counters().Drops()[vswitch.PortDown.String()]
	e.Transmit(make([]vswitch.Frame, 5))
	if got := e.Counters().Drops()[vswitch.PortDown.String()] - before; got < 5 { // the wire goes on, too
		t.Errorf("Transmit dropped %d, want at least 5", got)
	}
	e.Probe(otherMAC, otherAddress)
	for name, err := range map[string]error{
		"Keep":      e.Keep(KeptPort{Network: "tcp", Port: 9999, Dial: dialTo("127.0.0.1:1")}),
		"ServeDHCP": e.ServeDHCP(nil),
		"RelayDNS":  relay(e, netip.MustParseAddrPort("127.0.0.1:53")),
		"Close":     e.Close(),
	} {
		if name == "Close" && err != nil || name != "Close" && !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestCloseUnblocksReceive(t *testing.T) {
	pod, err := New(podConfig())
	if err != nil {
		t.Fatal(err)
	}
	var received error
	var receiving sync.WaitGroup
	receiving.Go(func() { _, received = pod.Receive(make([]vswitch.Frame, 1)) })
	_ = pod.Close()
	receiving.Wait()
	if !errors.Is(received, net.ErrClosed) {
		t.Errorf("Receive: %v, want net.ErrClosed", received)
	}
}

// Close drops and counts packets that Receive has not returned.
func TestCloseCountsWhatWaits(t *testing.T) {
	const probes = 3
	for _, test := range []struct {
		name     string
		received int
	}{{"nobody receives", 0}, {"some are received", 1}, {"all are received", probes}} {
		t.Run(test.name, func(t *testing.T) {
			pod, err := New(podConfig())
			if err != nil {
				t.Fatal(err)
			}
			for range probes {
				pod.Probe(otherMAC, otherAddress)
			}
			if test.received > 0 {
				if n, err := pod.Receive(make([]vswitch.Frame, test.received)); n != test.received || err != nil {
					t.Errorf("Receive: %d, %v; want %d", n, err, test.received)
				}
			}
			for range 2 {
				_ = pod.Close()
				if got := pod.Counters().Drops()[vswitch.PortDown.String()]; got != uint64(probes-test.received) {
					t.Errorf("%d drops, want %d", got, probes-test.received)
				}
			}
			checkClosed(t, pod)
		})
	}
}

// Packets sent before Close are received or counted, whatever the order of Close and Receive.
func TestCloseBesideReceiveLosesNothing(t *testing.T) {
	const rounds, probes = 200, 3
	for range rounds {
		pod, err := New(podConfig())
		if err != nil {
			t.Fatal(err)
		}
		received := uint64(0)
		var receiving, closing sync.WaitGroup
		receiving.Go(func() { drain(pod, func(vswitch.Frame) { received++ }) })
		for range probes {
			pod.Probe(otherMAC, otherAddress)
		}
		for range 2 {
			closing.Go(func() { _ = pod.Close() })
		}
		closing.Wait()
		receiving.Wait()
		if dropped := pod.Counters().Drops()[vswitch.PortDown.String()]; received+dropped != probes {
			t.Fatalf("%d frames were received and %d dropped, want %d in all", received, dropped, probes)
		}
	}
}

func TestTransmitBorrows(t *testing.T) {
	// A packet that netstack retains (a fragment, until reassembly) must not alias the frame.
	pod := open(t, podConfig())
	whole := echoRequest(t, otherAddress, podAddress, 77, []byte("0123456789abcdef01234567"))
	first, second := cutInTwo(whole, 16)
	buffer := bytes.Clone(first)
	pod.put(buffer)
	clear(buffer)
	pod.put(second)
	checkEcho(t, pod.next(), otherAddress, []byte("0123456789abcdef01234567"))
}

// cutInTwo makes two IPv4 fragments of a frame, the first with size payload bytes.
func cutInTwo(frame []byte, size int) (first, second []byte) {
	first = bytes.Clone(frame[:34+size])
	second = append(bytes.Clone(frame[:34]), frame[34+size:]...)
	for _, f := range []struct {
		frame  []byte
		offset int
		more   byte
	}{{first, 0, 0x20}, {second, size, 0}} {
		ip := f.frame[14:34]
		ip[2], ip[3] = byte((len(f.frame)-14)>>8), byte(len(f.frame)-14)
		ip[6], ip[7] = f.more, byte(f.offset/8)
		ip[10], ip[11] = 0, 0
		sum := ^slowSum(0, ip)
		ip[10], ip[11] = byte(sum>>8), byte(sum)
	}
	return first, second
}
