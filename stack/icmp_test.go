package stack

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// checkEcho checks that frame is the reply to an echo request with payload.
func checkEcho(t *testing.T, frame captured, to netip.Addr, payload []byte) {
	t.Helper()
	if frame.offload != (vnet.Header{}) {
		t.Errorf("offload %+v, want none", frame.offload)
	}
	checkMACs(t, frame.data, wireMAC, routerMAC)
	checkChecksums(t, frame.data)
	packet := decode(t, frame.data)
	ip := packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	icmp, ok := packet.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	if !ok || icmp.TypeCode.Type() != layers.ICMPv4TypeEchoReply || icmp.Id != 77 || !bytes.Equal(icmp.Payload, payload) ||
		!sameIP(ip.SrcIP, podAddress) || !sameIP(ip.DstIP, to) {
		t.Errorf("not the reply: %s", packet)
	}
}

func TestEchoIsAnsweredFromAnywhere(t *testing.T) {
	pod := open(t, podConfig())
	for _, from := range []string{"10.244.1.1", "10.244.1.8", "8.8.8.8", "169.254.1.1", "192.168.255.255"} {
		from := netip.MustParseAddr(from)
		pod.put(echoRequest(t, from, podAddress, 77, []byte("payload")))
		checkEcho(t, pod.next(), from, []byte("payload"))
	}
}

func TestEchoWithChecksumToComplete(t *testing.T) {
	pod := open(t, podConfig())
	frame := echoRequest(t, otherAddress, podAddress, 77, []byte("odd payload"))
	// The unfinished checksum of the sender is 0, because ICMP has no pseudo-header.
	frame[36], frame[37] = 0, 0
	before := bytes.Clone(frame)
	pod.Transmit([]vswitch.Frame{{
		Data:    frame,
		Offload: vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: 34, CsumOffset: 2},
	}})
	checkEcho(t, pod.next(), otherAddress, []byte("odd payload"))
	if !bytes.Equal(frame, before) {
		t.Error("Transmit changed the borrowed frame")
	}
	// Without the offload header the checksum of the same bytes is wrong.
	pod.put(frame)
	pod.expectNoFrame()
}

func TestEchoWithDataValid(t *testing.T) {
	pod := open(t, podConfig())
	pod.Transmit([]vswitch.Frame{{
		Data:    echoRequest(t, otherAddress, podAddress, 77, nil),
		Offload: vnet.Header{Flags: vnet.FlagDataValid},
	}})
	checkEcho(t, pod.next(), otherAddress, nil)
}

func TestEchoLargerThanTheMTUIsFragmented(t *testing.T) {
	pod := open(t, podConfig())
	pod.put(echoRequest(t, otherAddress, podAddress, 77, make([]byte, 4000)))
	total := 0
	for more := true; more; {
		frame := pod.next().data
		checkMACs(t, frame, wireMAC, routerMAC)
		if len(frame) > 14+1450 {
			t.Fatalf("frame of %d bytes", len(frame))
		}
		total += len(frame) - 34
		more = frame[20]&0x20 != 0
	}
	if total != 4008 {
		t.Errorf("fragments carry %d bytes, want 4008", total)
	}
}

func TestEchoIsNotAnswered(t *testing.T) {
	broadcastSource := echoRequest(t, netip.MustParseAddr("255.255.255.255"), podAddress, 77, nil)
	tests := []struct {
		name  string
		frame []byte
	}{
		{"another address", echoRequest(t, otherAddress, netip.MustParseAddr("10.244.1.8"), 77, nil)},
		{"the limited broadcast", echoRequest(t, otherAddress, netip.MustParseAddr("255.255.255.255"), 77, nil)},
		{"the all-systems group", echoRequest(t, otherAddress, netip.MustParseAddr("224.0.0.1"), 77, nil)},
		{"from the address itself", echoRequest(t, podAddress, podAddress, 77, nil)},
		{"from a broadcast", broadcastSource},
		{"from loopback", echoRequest(t, netip.MustParseAddr("127.0.0.1"), podAddress, 77, nil)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pod := open(t, podConfig())
			pod.put(test.frame)
			pod.expectNoFrame()
		})
	}
}

func TestLoopbackSourceDoesNotReachNetstack(t *testing.T) {
	pod := open(t, podConfig())
	pod.put(echoRequest(t, netip.MustParseAddr("127.0.0.1"), podAddress, 77, nil))
	if got := pod.drops(vswitch.Unwanted); got != 1 {
		t.Errorf("%d drops, want 1", got)
	}
}

func TestClosedPorts(t *testing.T) {
	pod := open(t, podConfig())
	pod.put(udpFrame(t, addrPort(otherAddress, 4000), addrPort(podAddress, 5000), []byte("x")))
	frame := pod.next().data
	checkChecksums(t, frame)
	if icmp := decode(t, frame).Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); icmp.TypeCode != layers.CreateICMPv4TypeCode(3, 3) {
		t.Errorf("want port unreachable, got %s", icmp.TypeCode)
	}

	pod.put(synFrame(t, addrPort(otherAddress, 4000), addrPort(podAddress, 5000)))
	reset := pod.next()
	checkChecksums(t, reset.data)
	checkMACs(t, reset.data, wireMAC, routerMAC)
	if tcp := decode(t, reset.data).Layer(layers.LayerTypeTCP).(*layers.TCP); !tcp.RST || tcp.Ack != 1001 {
		t.Errorf("want a reset, got %+v", tcp)
	}

	pod.put(udpFrame(t, addrPort(otherAddress, 4000), netip.MustParseAddrPort("255.255.255.255:5000"), []byte("x")))
	pod.expectNoFrame()
}

func TestNothingIsSaidUnasked(t *testing.T) {
	pod := open(t, podConfig())
	pod.expectNoFrame()
}
