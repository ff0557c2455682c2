package fuzz

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

var (
	wireMAC   = vswitch.MAC{0x0a, 0x58, 10, 244, 1, 7}
	routerMAC = vswitch.MAC{2, 0, 0, 0, 0, 0xfe}
	pod       = netip.MustParsePrefix("10.244.1.7/24")
	server    = netip.MustParseAddr("169.254.75.10")
)

// A step is one frame at one port after a while. Steps are coded as: port, milliseconds (2), offload header, length (2), data.
type step struct {
	port  int
	after time.Duration
	frame vswitch.Frame
}

// decode reads steps until the bytes end; what is cut off is left out.
func decode(b []byte, ports int) (steps []step) {
	const head = 1 + 2 + vnet.Size + 2
	for len(b) >= head {
		s := step{port: int(b[0]) % ports, after: time.Duration(binary.BigEndian.Uint16(b[1:])) * time.Millisecond}
		s.frame.Offload = vnet.Decode(b[3:])
		n := min(int(binary.BigEndian.Uint16(b[head-2:])), len(b)-head)
		s.frame.Data = b[head : head+n : head+n]
		steps, b = append(steps, s), b[head+n:]
	}
	return steps
}

// encode is the inverse of decode, for seeds.
func encode(port byte, h vnet.Header, frame string) []byte {
	data, err := hex.DecodeString(frame)
	if err != nil {
		panic(err)
	}
	b := append([]byte{port, 0, 100}, make([]byte, vnet.Size)...)
	h.Encode(b[3:])
	return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
}

// seeds are frames that other switches stumbled over, and the ordinary ones that lead to the rules behind them.
func seeds(f *testing.F) {
	const (
		guest  = "020000000042"
		router = "0200000000fe"
		wire   = "0a580af40107"
		node   = "020000000001"
		all    = "ffffffffffff"
	)
	add := func(frames ...[]byte) {
		var all []byte
		for _, b := range frames {
			all = append(all, b...)
		}
		f.Add(all)
	}
	none := vnet.Header{}
	// Shorter than two MACs: a peer took the process down with it.
	add(encode(0, none, ""), encode(0, none, "020000000001"), encode(1, none, "02000000000102000000000208"))
	// An ordinary exchange: ARP for the gateway, a ping out, ARP on the wire, the answer.
	add(encode(0, none, all+guest+"08060001080006040001"+guest+"0af40107"+"000000000000"+"0af40101"),
		encode(0, none, router+guest+"0800"+"4500001c00010000400100000af401070af40101"+"0800f7fe00010000"),
		encode(1, none, wire+node+"08060001080006040002"+node+"0af40101"+wire+"0af40107"),
		encode(1, none, wire+node+"0800"+"4500001c00010000400100000af401010af40107"+"0000fffe00010000"))
	// Lying lengths: header length 0 and 60, total length beyond the frame, a UDP length beyond the packet, TCP data offset 60.
	add(encode(0, none, router+guest+"0800"+"4000001c00010000400100000af401070af401010800f7fe00010000"),
		encode(0, none, router+guest+"0800"+"4f00001c00010000400100000af401070af401010800f7fe00010000"),
		encode(0, none, router+guest+"0800"+"4500ffff00010000400100000af401070af401010800f7fe00010000"),
		encode(0, none, router+guest+"0800"+"4500001c00010000401100000af401070af401010035003500ff0000"),
		encode(0, none, router+guest+"0800"+"4500002800010000400600000af401070af40101003500350000000000000000f002000000000000"))
	// Impossible offloads: segments of no bytes, a checksum beyond the frame, an unknown type.
	frame := router + guest + "0800" + "4500002800010000400600000af401070af401010035003500000000000000005002000000000000"
	add(encode(0, vnet.Header{Flags: 1, GSOType: 1, CsumStart: 34, CsumOffset: 16}, frame),
		encode(0, vnet.Header{Flags: 1, CsumStart: 0xfffe, CsumOffset: 0xfffe}, frame),
		encode(0, vnet.Header{Flags: 1, GSOType: 77, GSOSize: 1, CsumStart: 34, CsumOffset: 16}, frame),
		encode(0, vnet.Header{Flags: 1, GSOType: 1, GSOSize: 1400, CsumStart: 34, CsumOffset: 16}, frame))
	// Tags in tags, a length instead of a type, multicast and zero sources, our own MAC from the wire.
	add(encode(0, none, all+guest+"88a80001810000020800"), encode(0, none, all+guest+"0004aabbccdd"),
		encode(0, none, all+all+"0800"), encode(1, none, all+"000000000000"+"0800"), encode(1, none, all+wire+"0806"))
}

// FuzzDelegate: whatever arrives in whatever order, what leaves at the uplink is the pod's, the guest hears of nobody but the
// router, and every frame leaves somewhere, waits, or is counted as a drop.
func FuzzDelegate(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		d := vswitch.NewDelegate(vswitch.DelegateConfig{
			WireMAC: wireMAC, RouterMAC: routerMAC, Address: pod, Server: server, Gateway: netip.MustParseAddr("10.244.1.1"),
			MTU: 1450, GuestMTU: 1450, KeptTCP: []uint16{8080},
			Routes: []vswitch.Route{{Destination: netip.MustParsePrefix("10.244.1.0/24")},
				{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.244.1.1")}},
		})
		d.Hand(vswitch.HolderGuest, vswitch.MAC{})
		var now time.Duration
		for _, s := range decode(b, 2) { // the guest and the wire; the other ports are ours
			now += s.after
			counters := new(vswitch.Counters)
			out := vswitch.NewOut(4, counters)
			d.Forward(s.port, []vswitch.Frame{s.frame}, now, out)
			out.Flush(func(port int, frames []vswitch.Frame) { checkDelegate(t, port, frames) })
			out = vswitch.NewOut(4, counters)
			d.Tick(now, out)
			out.Flush(func(port int, frames []vswitch.Frame) { checkDelegate(t, port, frames) })
		}
	})
}

func checkDelegate(t *testing.T, port int, frames []vswitch.Frame) {
	for _, f := range frames {
		if h := f.Offload; len(f.Data) < 14 || !vnet.Check(&h, f.Data) {
			t.Fatalf("port %d: an invalid frame leaves: %+v % x", port, f.Offload, f.Data)
		}
		source := vswitch.MAC(f.Data[6:12])
		switch port {
		case vswitch.PortGuest:
			if source != routerMAC {
				t.Fatalf("the guest hears of %s", source)
			}
		case vswitch.PortUplink:
			checkUplink(t, f, source)
		}
	}
}

func checkUplink(t *testing.T, f vswitch.Frame, source vswitch.MAC) {
	if source != wireMAC {
		t.Fatalf("%s leaves at the uplink", source)
	}
	switch binary.BigEndian.Uint16(f.Data[12:]) {
	case 0x0800:
		if from := netip.AddrFrom4([4]byte(f.Data[26:30])); from != pod.Addr() {
			t.Fatalf("source %s leaves at the uplink", from)
		}
		transport := 14 + int(f.Data[14]&15)*4
		if f.Data[23] == 17 && binary.BigEndian.Uint16(f.Data[20:])&0x1fff == 0 {
			if to := binary.BigEndian.Uint16(f.Data[transport+2:]); to == 67 || to == 68 {
				t.Fatal("DHCP leaves at the uplink")
			}
		}
	case 0x0806:
		if vswitch.MAC(f.Data[22:28]) != wireMAC || netip.AddrFrom4([4]byte(f.Data[28:32])) != pod.Addr() {
			t.Fatalf("ARP of somebody else leaves at the uplink: % x", f.Data)
		}
	default:
		t.Fatalf("ethertype %x leaves at the uplink", f.Data[12:14])
	}
}

// FuzzBridge: no frame goes back to where it came from, none is changed, and each leaves somewhere or is one drop.
func FuzzBridge(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		const ports = 3
		bridge := vswitch.NewBridge(vswitch.BridgeConfig{Ports: ports, Ageing: time.Minute, Limit: 4, MaxFrame: 1514, Upstream: 2})
		var now time.Duration
		for _, s := range decode(b, ports) {
			now += s.after
			counters := new(vswitch.Counters)
			out := vswitch.NewOut(ports, counters)
			before := string(s.frame.Data)
			bridge.Forward(s.port, []vswitch.Frame{s.frame}, now, out)
			left := 0
			out.Flush(func(port int, frames []vswitch.Frame) {
				left += len(frames)
				for _, f := range frames {
					if port == s.port || string(f.Data) != before {
						t.Fatalf("a frame from port %d leaves at port %d as % x", s.port, port, f.Data)
					}
				}
			})
			dropped := 0
			for _, n := range counters.Drops() {
				dropped += int(n)
			}
			if (left == 0) != (dropped == 1) {
				t.Fatalf("%d copies left and %d were dropped", left, dropped)
			}
			if n := len(bridge.Stations(now)); n > 4 {
				t.Fatalf("%d stations, the limit is 4", n)
			}
		}
	})
}
