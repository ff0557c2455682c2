package replay_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

func delegate() replay.Setup {
	gateway := netip.MustParseAddr("10.244.1.1")
	return replay.Setup{Holder: vswitch.HolderGuest, GuestMAC: vswitch.MAC{2, 0, 0, 0, 0, 1}, Delegate: &vswitch.DelegateConfig{
		WireMAC: vswitch.MAC{0x0a, 0x58, 0x0a, 0xf4, 1, 7}, RouterMAC: vswitch.MAC{2, 0, 0, 0, 0, 0xfe},
		Address: netip.MustParsePrefix("10.244.1.7/24"), Gateway: gateway, Server: netip.MustParseAddr("169.254.75.10"),
		MTU: 1450, GuestMTU: 1450, KeptTCP: []uint16{8080},
		Routes: []vswitch.Route{{Destination: netip.MustParsePrefix("10.244.1.0/24")}, {Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: gateway}},
		Rules:  []vswitch.Rule{{Destination: netip.MustParsePrefix("169.254.169.254/32")}},
	}}
}

func bridge(ports int) replay.Setup {
	return replay.Setup{Bridge: &vswitch.BridgeConfig{Ports: ports, Ageing: 300 * time.Second, Limit: 16, Upstream: -1}}
}

// everything returns a packet of each kind.
func everything() []replay.Packet {
	long := append(bytes.Repeat([]byte{2}, 12), bytes.Repeat([]byte{0x88, 0xb5, 1}, 20000)...)
	return []replay.Packet{
		{Port: "guest", Time: replay.At(0), Frame: vswitch.Frame{Data: bytes.Repeat([]byte{1, 2, 3}, 20)}},
		{Time: replay.At(time.Nanosecond), Event: &replay.Event{Tick: true}},
		{Port: "uplink", Time: replay.At(time.Second), Frame: vswitch.Frame{Data: []byte{}}},
		{Port: "pod", Time: replay.At(time.Second), Frame: vswitch.Frame{Data: []byte{7}}},
		{Time: replay.At(time.Hour), Event: &replay.Event{Holder: vswitch.HolderSwitch}},
		{Time: replay.At(time.Hour), Event: &replay.Event{Holder: vswitch.HolderGuest, MAC: vswitch.MAC{2, 0, 0, 0, 0, 9}}},
		{Port: "server", Time: replay.At(time.Minute), Frame: vswitch.Frame{Data: long,
			Offload: vnet.Header{Flags: 255, GSOType: 0x81, HdrLen: 65535, GSOSize: 1448, CsumStart: 34, CsumOffset: 16}}},
	}
}

// readAll returns the packets up to the end or an error.
func readAll(r io.Reader) (setup *replay.Setup, packets []replay.Packet, err error) {
	c, err := replay.NewReader(r)
	if err != nil {
		return nil, nil, err
	}
	for {
		p, err := c.Next()
		if err == io.EOF {
			return c.Setup(), packets, nil
		}
		if err != nil {
			return c.Setup(), packets, err
		}
		packets = append(packets, p)
	}
}

func written(t testing.TB, setup replay.Setup, packets []replay.Packet) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := replay.Write(&b, setup, packets); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestRoundTrip reads what Write has written and compares packets and setup.
func TestRoundTrip(t *testing.T) {
	four := bridge(4)
	for name, c := range map[string]struct {
		setup   replay.Setup
		packets []replay.Packet
	}{
		"delegate":      {delegate(), everything()},
		"empty":         {delegate(), nil},
		"bridge":        {bridge(2), everything()[:3]},
		"bridge of 4":   {four, []replay.Packet{{Port: four.Ports()[3], Time: replay.At(5), Frame: vswitch.Frame{Data: []byte{1}}}}},
		"no guest, /32": {replay.Setup{Delegate: &vswitch.DelegateConfig{Address: netip.MustParsePrefix("10.0.0.1/32"), Server: netip.MustParseAddr("10.0.0.2"), MTU: 68, GuestMTU: 68}}, nil},
	} {
		setup, packets, err := readAll(bytes.NewReader(written(t, c.setup, c.packets)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		same := cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}
		if diff := cmp.Diff(&c.setup, setup, same); diff != "" {
			t.Errorf("%s: setup (-written +read):\n%s", name, diff)
		}
		sameButPlace := append(same, cmpopts.IgnoreFields(replay.Packet{}, "Number", "Length", "Port"))
		if diff := cmp.Diff(c.packets, packets, sameButPlace); diff != "" {
			t.Errorf("%s: packets (-written +read):\n%s", name, diff)
		}
		for i, p := range packets {
			if p.Event == nil && p.Port != c.packets[i].Port || p.Number != i+1 || p.Length != len(p.Frame.Data) {
				t.Errorf("%s: packet %d has port %q, number %d and length %d", name, i, p.Port, p.Number, p.Length)
			}
		}
	}
}

// TestWriteRefuses shows that Write rejects packets that a Reader would not return.
func TestWriteRefuses(t *testing.T) {
	many := delegate()
	for i := range 3000 {
		many.Delegate.KeptTCP = append(many.Delegate.KeptTCP, uint16(i))
		many.Delegate.Rules = append(many.Delegate.Rules, many.Delegate.Rules[0])
	}
	for says, c := range map[string]struct {
		setup  replay.Setup
		packet replay.Packet
	}{
		`port "elsewhere"`:    {delegate(), replay.Packet{Port: "elsewhere", Time: replay.At(0)}},
		"1969":                {delegate(), replay.Packet{Port: "guest", Time: replay.At(-1)}},
		"a bridge or":         {replay.Setup{}, replay.Packet{}},
		"the longest comment": {many, replay.Packet{}},
		"ports 0":             {bridge(0), replay.Packet{}},
		"frame of 9000000 b":  {delegate(), replay.Packet{Port: "guest", Time: replay.At(0), Frame: vswitch.Frame{Data: make([]byte, 9000000)}}},
	} {
		if err := replay.Write(io.Discard, c.setup, []replay.Packet{c.packet}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v: want one with %q", err, says)
		}
	}
}

// plain returns a big-endian pcap file with the given fields.
func plain(linkType, snapLength, captured, length uint32, data ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, v := range []uint32{snapLength, linkType, 1, 0, captured, length} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return append(b, data...)
}

// TestMalformed shows that an error names the fault and its position, after the packets in front of it were returned.
func TestMalformed(t *testing.T) {
	good := written(t, delegate(), everything()[:2])
	for _, c := range []struct {
		name, says string
		data       []byte
		frames     int
	}{
		{"empty", "a file of 0 bytes", nil, 0},
		{"short", "a file of 3 bytes", good[:3], 0},
		{"text", "begins with 68656c6c: want a pcapng or pcap file", []byte("hello, world"), 0},
		{"gzip", "decompress it with gunzip", []byte{0x1f, 0x8b, 8, 0}, 0},
		{"header cut off", "before the first frame: the file is truncated", good[:20], 0},
		{"last packet cut off", "after frame 1: the file is truncated", good[:len(good)-5], 1},
		{"garbage behind", "after frame 2", append(bytes.Clone(good), 6, 0, 0, 0, 3, 0, 0, 0, 9, 9, 9, 9), 2},
		{"unknown setup", "setup: json: unknown field", bytes.Replace(good, []byte(`"WireMAC"`), []byte(`"WireMCA"`), 1), 0},
		{"bad event", `after frame 2: comment "podswitch-hand": holder ""`, bytes.Replace(good, []byte("podswitch-tick"), []byte("podswitch-hand"), 1), 1},
		{"plain header cut off", "before the first frame: the file is truncated", plain(1, 100, 0, 0)[:20], 0},
		{"plain cut off", "after frame 0: the file is truncated", plain(1, 100, 60, 60, 1, 2, 3), 0},
		{"plain cut off behind a header", "after frame 0: the file is truncated", plain(1, 100, 60, 60), 0},
		{"not Ethernet", "link type 113: want Ethernet", plain(113, 100, 3, 3, 1, 2, 3), 0},
		{"almost Ethernet", "link type 65537: want Ethernet", plain(65537, 100, 3, 3, 1, 2, 3), 0},
		{"captured more than there was", "after frame 0: capture length", plain(1, 100, 3, 2, 1, 2, 3), 0},
	} {
		_, packets, err := readAll(bytes.NewReader(c.data))
		if err == nil || !strings.Contains(err.Error(), c.says) || len(packets) != c.frames {
			t.Errorf("%s: %d frames and error %v; want %d and %q", c.name, len(packets), err, c.frames, c.says)
		}
	}
}

// zeros is an infinite file.
type zeros struct{ read int }

func (z *zeros) Read(b []byte) (int, error) {
	clear(b)
	z.read += len(b)
	return len(b), nil
}

// TestHugeLengths shows that memory is bounded for every length in a file.
func TestHugeLengths(t *testing.T) {
	const most = 17 << 20
	block := binary.LittleEndian.AppendUint32(nil, 6)
	for _, v := range []uint32{0xfffffff0, 0, 0, 0, 0xfffffff0, 0xfffffff0} {
		block = binary.LittleEndian.AppendUint32(block, v)
	}
	unknown := append(binary.LittleEndian.AppendUint32(nil, 0x0bad), 0xf0, 0xff, 0xff, 0xff)
	ng := written(t, delegate(), nil)
	for name, head := range map[string][]byte{
		"plain":         plain(1, 0xffffffff, 0xfffffff0, 0xffffffff),
		"pcapng":        append(bytes.Clone(ng), block...),
		"unknown block": append(bytes.Clone(ng), unknown...),
	} {
		endless := &zeros{}
		_, packets, err := readAll(io.MultiReader(bytes.NewReader(head), endless))
		if err == nil || !strings.Contains(err.Error(), "after frame 0") || len(packets) != 0 || endless.read > most {
			t.Errorf("%s: %d frames, error %v, %d bytes read; want none, an error, and at most %d", name, len(packets), err, endless.read, most)
		}
	}
}

// TestPlainTime shows that packets of a pcap file have a time and no port.
func TestPlainTime(t *testing.T) {
	setup, packets, err := readAll(bytes.NewReader(plain(1, 100, 3, 5, 1, 2, 3)))
	if err != nil || setup != nil || len(packets) != 1 {
		t.Fatalf("setup %v, %d packets, error %v", setup, len(packets), err)
	}
	if p := packets[0]; !p.Time.Equal(time.Unix(1, 0)) || p.Length != 5 || len(p.Frame.Data) != 3 || p.Port != "" {
		t.Errorf("have %+v", p)
	}
}
