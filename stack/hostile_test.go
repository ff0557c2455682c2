package stack

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A hostileFrame must neither harm nor stop an endpoint.
type hostileFrame struct {
	name    string
	offload vnet.Header
	data    []byte
}

// patch returns frame with bytes changed from offset on. The IPv4 checksum is corrected, so that netstack parses the rest.
func patch(frame []byte, offset int, with ...byte) []byte {
	frame = bytes.Clone(frame)
	copy(frame[offset:], with)
	headerLength := min(int(frame[14]&15)*4, len(frame)-14)
	if headerLength >= 20 {
		frame[24], frame[25] = 0, 0
		binary.BigEndian.PutUint16(frame[24:], ^uint16(slowSum(0, frame[14:14+headerLength])))
	}
	return frame
}

// hostileFrames are frames that broke other userspace stacks.
func hostileFrames(t testing.TB) []hostileFrame {
	echo := echoRequest(t, otherAddress, podAddress, 1, make([]byte, 64))
	syn := synFrame(t, addrPort(otherAddress, 4000), addrPort(podAddress, 8080))
	datagram := udpFrame(t, addrPort(otherAddress, 4000), addrPort(podAddress, dnsPort), question(1, "?"))
	request := udpFrame(t, nobody, everybody, []byte("discover"))
	arp := arpRequestFrame(t, otherMAC, otherAddress, podAddress)
	first, second := cutInTwo(echo, 16)
	frames := []hostileFrame{
		{name: "60 bytes, padded", data: append(echoRequest(t, otherAddress, podAddress, 1, nil), make([]byte, 18)...)},
		{name: "header length beyond the packet", data: patch(echo[:40], 14, 0x4f)},
		{name: "header length below 5", data: patch(echo, 14, 0x44)},
		{name: "version 6", data: patch(echo, 14, 0x65)},
		{name: "total length below the header", data: patch(echo, 16, 0, 19)},
		{name: "total length below the transport header", data: patch(syn, 16, 0, 22)},
		{name: "total length beyond the packet", data: patch(echo, 16, 0xff, 0xff)},
		{name: "IPv4 options that end early", data: patch(echo, 14, 0x4f)},
		{name: "unknown transport protocol", data: patch(echo, offProtocol, 253)},
		{name: "data offset past the end", data: patch(syn, 46, 0xf0)},
		{name: "data offset below 5", data: patch(syn, 46, 0x10)},
		{name: "all TCP flags", data: patch(syn, 47, 0xff)},
		{name: "UDP length beyond the payload", data: patch(datagram, 38, 0xff, 0xff)},
		{name: "UDP length below 8", data: patch(datagram, 38, 0, 7)},
		{name: "UDP length below 8 to DHCP", data: patch(request, 38, 0, 0)},
		{name: "UDP without a checksum", data: patch(datagram, 40, 0, 0)},
		{name: "first fragment", data: first},
		{name: "the same fragment", data: first},
		{name: "overlapping fragment", data: patch(second, 21, 1)},
		{name: "fragment beyond 65535", data: patch(second, 20, 0x1f, 0xff)},
		{name: "empty fragment", data: patch(second[:34], 16, 0, 20)},
		{name: "VLAN tag", data: patch(echo, 12, 0x81, 0)},
		{name: "QinQ", data: patch(echo, 12, 0x88, 0xa8)},
		{name: "802.3 length", data: patch(echo, 12, 0, 46)},
		{name: "IPv6", data: patch(echo, 12, 0x86, 0xdd)},
		{name: "multicast destination MAC", data: patch(echo, 0, 0x01, 0, 0x5e)},
		{name: "broadcast destination MAC", data: patch(echo, 0, vswitch.Broadcast[:]...)},
		{name: "multicast source MAC", data: patch(echo, 6, 0x01, 0, 0x5e)},
		{name: "source MAC is the endpoint's", data: patch(echo, 6, wireMAC[:]...)},
		{name: "ARP with long addresses", data: append(bytes.Clone(arp[:18]), append([]byte{255, 255}, arp[20:]...)...)},
		{name: "source 0.0.0.0", data: echoRequest(t, netip.IPv4Unspecified(), podAddress, 1, nil)},
	}
	for n := range 43 {
		frames = append(frames, hostileFrame{name: "short IPv4", data: bytes.Clone(echo[:n])},
			hostileFrame{name: "short ARP", data: bytes.Clone(arp[:min(n, len(arp))])},
			hostileFrame{name: "short TCP", data: bytes.Clone(syn[:n])})
	}
	for _, h := range []vnet.Header{
		{Flags: 1, CsumStart: 35, CsumOffset: 2}, {Flags: 1, CsumStart: 65535, CsumOffset: 65535},
		{Flags: 1, CsumStart: 0, CsumOffset: 0}, {Flags: 1, CsumStart: 34, CsumOffset: 65535},
		{Flags: 1, GSOType: vnet.GSOTCPv4, CsumStart: 34, CsumOffset: 16}, {Flags: 0xff}, {GSOType: 99},
		{Flags: 1, GSOType: vnet.GSOTCPv4, GSOSize: 1, HdrLen: 3, CsumStart: 34, CsumOffset: 16},
		{Flags: 1, GSOType: vnet.GSOUDPL4, GSOSize: 1, CsumStart: 34, CsumOffset: 6},
	} {
		for _, data := range [][]byte{syn, echo, datagram, nil} {
			frames = append(frames, hostileFrame{"impossible offload", h, data})
		}
	}
	return frames
}

// besieged returns an endpoint with all services, whose frames are discarded.
func besieged(t testing.TB) *Endpoint {
	t.Helper()
	e, err := New(podConfig())
	if err != nil {
		t.Fatal(err)
	}
	var draining sync.WaitGroup
	draining.Go(func() { drain(e, func(vswitch.Frame) {}) })
	t.Cleanup(func() {
		_ = e.Close()
		draining.Wait()
	})
	keep(t, e, 8080, "127.0.0.1:1")
	if err := e.ServeDHCP(func(m []byte) ([]byte, netip.AddrPort, vswitch.MAC) { return m, nobody, guestMAC }); err != nil {
		t.Fatal(err)
	}
	if err := relay(e, netip.MustParseAddrPort("127.0.0.1:1")); err != nil {
		t.Fatal(err)
	}
	return e
}

// accounts returns the number of frames that f counts as: one, or its number of datagrams.
func accounts(e *Endpoint, f vswitch.Frame) uint64 {
	offload := f.Offload
	if _, ok := e.admit(f.Data); !ok || offload.GSOType != vnet.GSOUDPL4 || !vnet.Check(&offload, f.Data) {
		return 1
	}
	payload := offNetwork + int(binary.BigEndian.Uint16(f.Data[offNetwork+2:])) - int(offload.HdrLen)
	size := int(offload.GSOSize)
	return uint64(max(1, (payload+size-1)/size))
}

// checkAccounts checks that each of n frames was delivered or dropped, and none because of a panic.
func checkAccounts(t testing.TB, e *Endpoint, n uint64) {
	t.Helper()
	c := e.Counters()
	total := c.TxFrames.Load()
	for reason, dropped := range c.Drops() {
		if reason != vswitch.NoBuffer.String() { // of frames that netstack sent
			total += dropped
		}
	}
	if total != n {
		t.Errorf("%d frames are accounted for, want %d", total, n)
	}
	if faults := c.Drops()[vswitch.EndpointFault.String()]; faults != 0 {
		t.Errorf("%d faults", faults)
	}
}

func TestHostileFrames(t *testing.T) {
	e := besieged(t)
	want := uint64(0)
	for _, f := range hostileFrames(t) {
		frame, before := vswitch.Frame{Offload: f.offload, Data: f.data}, bytes.Clone(f.data)
		want += accounts(e, frame)
		e.Transmit([]vswitch.Frame{frame})
		if !bytes.Equal(f.data, before) {
			t.Errorf("%s: Transmit changed the frame", f.name)
		}
	}
	checkAccounts(t, e, want)
}

func TestRandomlyDamagedFrames(t *testing.T) {
	e := besieged(t)
	frames := hostileFrames(t)
	random := rand.New(rand.NewPCG(1, 2))
	want := uint64(0)
	for range 20000 {
		f := frames[random.IntN(len(frames))]
		data := bytes.Clone(f.data)
		for range random.IntN(4) {
			if len(data) > 14 {
				data[14+random.IntN(len(data)-14)] = byte(random.Uint32())
			}
		}
		if len(data) >= endOfIPv4 && data[12] == 8 && data[13] == 0 {
			copy(data[offDestination:], podAddress.AsSlice())
			data = patch(data, 0)
		}
		frame := vswitch.Frame{Offload: f.offload, Data: data}
		want += accounts(e, frame)
		e.Transmit([]vswitch.Frame{frame})
	}
	checkAccounts(t, e, want)
}

func FuzzTransmit(f *testing.F) {
	for _, frame := range hostileFrames(f) {
		var header [vnet.Size]byte
		frame.offload.Encode(header[:])
		f.Add(header[:], frame.data)
	}
	e := besieged(f)
	f.Fuzz(func(t *testing.T, header, data []byte) {
		if len(header) < vnet.Size || len(data) > vswitch.MaxFrame {
			return
		}
		before := bytes.Clone(data)
		e.Transmit([]vswitch.Frame{{Offload: vnet.Decode(header), Data: data}})
		if !bytes.Equal(data, before) {
			t.Error("Transmit changed the frame")
		}
		if faults := e.Counters().Drops()[vswitch.EndpointFault.String()]; faults != 0 {
			t.Error("netstack failed")
		}
	})
}
