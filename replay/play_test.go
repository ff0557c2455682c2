package replay_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

var update = flag.Bool("update", false, "rewrite the captures of testdata/replay that come from here")

func eth(to, from vswitch.MAC, ethertype uint16, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(append(to[:], from[:]...), ethertype), body...)
}

// packet returns an IPv4 packet.
func packet(from, to [4]byte, protocol byte, flags uint16, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+len(body)))
	b = append(binary.BigEndian.AppendUint16(append(b, 0, 7), flags), 64, protocol, 0, 0)
	b = append(append(b, from[:]...), to[:]...)
	binary.BigEndian.PutUint16(b[10:], vnet.Checksum(b, 0))
	return append(b, body...)
}

func arp(operation byte, mac vswitch.MAC, sender, target [4]byte) []byte {
	b := append([]byte{0, 1, 8, 0, 6, 4, 0, operation}, mac[:]...)
	return append(append(append(b, sender[:]...), 0, 0, 0, 0, 0, 0), target[:]...)
}

var (
	guestMAC, routerMAC, gwMAC = vswitch.MAC{2, 0, 0, 0, 0, 1}, vswitch.MAC{2, 0, 0, 0, 0, 0xfe}, vswitch.MAC{0x0a, 0x58, 0x0a, 0xf4, 1, 1}
	wireMAC                    = vswitch.MAC{0x0a, 0x58, 0x0a, 0xf4, 1, 7}
	pod, gw, far               = [4]byte{10, 244, 1, 7}, [4]byte{10, 244, 1, 1}, [4]byte{10, 96, 0, 10}
	syn                        = []byte{0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 16, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4}
	echo                       = []byte{8, 0, 0xf7, 0xfd, 0, 1, 0, 1}
)

// outcomes returns a capture with every outcome of a frame.
func outcomes() []replay.Packet {
	var packets []replay.Packet
	clock := time.Second
	add := func(port string, data []byte, h vnet.Header) {
		clock += 100 * time.Millisecond
		packets = append(packets, replay.Packet{Port: port, Time: replay.At(clock), Frame: vswitch.Frame{Offload: h, Data: data}})
	}
	event := func(e replay.Event) { packets = append(packets, replay.Packet{Time: replay.At(clock), Event: &e}) }
	none := vnet.Header{}
	toRouter := func(body []byte) []byte { return eth(routerMAC, guestMAC, 0x0800, body...) }
	add("guest", eth(vswitch.Broadcast, guestMAC, 0x0806, arp(1, guestMAC, pod, far)...), none)
	add("guest", toRouter(packet(pod, far, 6, 0x4000, syn...)), none)
	add("uplink", eth(wireMAC, gwMAC, 0x0806, arp(2, gwMAC, gw, pod)...), none)
	add("guest", toRouter(packet(pod, far, 1, 0, append(bytes.Clone(echo), make([]byte, 2000)...)...)), none)
	add("guest", toRouter(packet(pod, far, 1, 0x4000, append(bytes.Clone(echo), make([]byte, 2000)...)...)), none)
	add("guest", toRouter(packet(pod, far, 6, 0, append(append(bytes.Clone(syn[:12]), 0x50, 16, 16, 0, 0, 0, 0, 0), make([]byte, 3000)...)...)),
		vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOTCPv4, HdrLen: 54, GSOSize: 1400, CsumStart: 34, CsumOffset: 16})
	add("guest", toRouter(packet(far, gw, 17, 0, 0, 53, 0, 54, 0, 8, 0, 0)), none)
	add("guest", toRouter(packet(pod, [4]byte{169, 254, 169, 254}, 17, 0, 0, 53, 0, 54, 0, 8, 0, 0)), none)
	add("guest", []byte{1, 2, 3}, none)
	add("guest", eth(routerMAC, guestMAC, 0x86dd, make([]byte, 40)...), none)
	add("uplink", eth(wireMAC, gwMAC, 0x0800, packet(far, pod, 1, 0, echo...)...), none)
	add("uplink", eth(vswitch.Broadcast, gwMAC, 0x0806, arp(1, gwMAC, gw, pod)...), none)
	add("pod", eth(gwMAC, wireMAC, 0x0806, arp(2, wireMAC, pod, gw)...), none)
	event(replay.Event{Holder: vswitch.HolderSwitch})
	add("uplink", eth(wireMAC, gwMAC, 0x0800, packet(far, pod, 6, 0, syn...)...), none)
	add("guest", toRouter(packet(pod, far, 1, 0, echo...)), none)
	event(replay.Event{Holder: vswitch.HolderGuest, MAC: guestMAC})
	add("guest", toRouter(packet(pod, [4]byte{10, 244, 1, 9}, 1, 0, append(bytes.Clone(echo), make([]byte, 2000)...)...)), none)
	for range 4 {
		clock += time.Second
		event(replay.Event{Tick: true})
	}
	add("guest", toRouter(packet(pod, [4]byte{10, 244, 1, 10}, 1, 0, echo...)), none)
	return packets
}

func flooded() []replay.Packet {
	other := vswitch.MAC{2, 0, 0, 0, 0, 2}
	frame := func(port string, at time.Duration, to, from vswitch.MAC) replay.Packet {
		return replay.Packet{Port: port, Time: replay.At(at), Frame: vswitch.Frame{Data: eth(to, from, 0x88b5, 1, 2, 3)}}
	}
	return []replay.Packet{frame("port0", 1, other, guestMAC), frame("port2", 2, guestMAC, other), frame("port0", 3, other, guestMAC),
		frame("port2", 4, other, guestMAC), frame("port1", 5, vswitch.MAC{1, 0x80, 0xc2}, other)}
}

// TestSamples compares the captures in testdata/replay, which the command's golden test replays, with the output of Write.
func TestSamples(t *testing.T) {
	for name, want := range map[string][]byte{
		"outcomes.pcapng": written(t, delegate(), outcomes()), "bridge.pcapng": written(t, bridge(3), flooded()),
	} {
		path := filepath.Join("..", "testdata", "replay", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s differs from the output of Write (%v): run with -update, and check the command's golden test", path, err)
		}
	}
}

func play(t *testing.T, o replay.Options, packets ...replay.Packet) (*replay.Player, []*replay.Record) {
	t.Helper()
	p, err := replay.NewPlayer(o)
	if err != nil {
		t.Fatal(err)
	}
	var records []*replay.Record
	for i := range packets {
		packets[i].Number, packets[i].Length = i+1, max(packets[i].Length, len(packets[i].Frame.Data))
		records = append(records, p.Play(&packets[i])...)
	}
	return p, append(records, p.Finish()...)
}

// TestPort shows at which port a frame enters: by Options.In, by the interface, and by the source MAC.
func TestPort(t *testing.T) {
	far := vswitch.MAC{2, 9, 9, 9, 9, 9}
	anyMAC := delegate()
	anyMAC.GuestMAC = vswitch.MAC{}
	pinned := delegate()
	config := *pinned.Delegate
	config.PinnedMAC, pinned.Delegate, pinned.GuestMAC = far, &config, vswitch.MAC{}
	for name, c := range map[string]struct {
		options replay.Options
		device  string
		source  vswitch.MAC
		want    string
	}{
		"in":              {replay.Options{Setup: delegate(), In: "pod"}, "guest", far, "pod"},
		"interface":       {replay.Options{Setup: delegate()}, "uplink", guestMAC, "uplink"},
		"guest":           {replay.Options{Setup: delegate()}, "tap0", guestMAC, "guest"},
		"wire":            {replay.Options{Setup: delegate()}, "", far, "uplink"},
		"guest by option": {replay.Options{Setup: delegate(), GuestMAC: far}, "", far, "guest"},
		"pod as guest":    {replay.Options{Setup: anyMAC}, "eth0", wireMAC, "guest"},
		"pinned":          {replay.Options{Setup: pinned}, "eth0", far, "guest"},
		"router":          {replay.Options{Setup: delegate()}, "tap0", routerMAC, "-"},
		"bridge":          {replay.Options{Setup: bridge(2), GuestMAC: guestMAC}, "", guestMAC, "guest"},
		"bridge, wire":    {replay.Options{Setup: bridge(2)}, "", vswitch.MAC{}, "uplink"},
		"bridge of one":   {replay.Options{Setup: bridge(1)}, "", far, "port0"},
	} {
		_, records := play(t, c.options, replay.Packet{Port: c.device, Frame: vswitch.Frame{Data: eth(gwMAC, c.source, 0x88b5, 1)}})
		if got := records[0].In; got != c.want {
			t.Errorf("%s: entered at %q, want %q", name, got, c.want)
		}
	}
	if _, err := replay.NewPlayer(replay.Options{Setup: delegate(), In: "tap0"}); err == nil || !strings.Contains(err.Error(), `"tap0"`) {
		t.Errorf("port tap0: error %v", err)
	}
}

// TestSkipped shows the frames that do not enter the forwarder.
func TestSkipped(t *testing.T) {
	p, records := play(t, replay.Options{Setup: delegate()},
		replay.Packet{Port: "guest", Length: 1514, Frame: vswitch.Frame{Data: eth(routerMAC, guestMAC, 0x0800)}},
		replay.Packet{Frame: vswitch.Frame{Data: []byte{1}}},
		replay.Packet{Port: "guest", Frame: vswitch.Frame{Data: make([]byte, vswitch.MaxFrame+1)}})
	for i, says := range []string{"skipped; truncated, the frame had 1514 bytes", "skipped; no source MAC", "drop: truncated"} {
		if !strings.Contains(records[i].String(), says) {
			t.Errorf("%s; want %q", records[i], says)
		}
	}
	if s := p.Summary(); s.Frames != 3 || s.Skipped != 2 || s.Dropped != 1 || s.Drops["truncated"] != 1 {
		t.Errorf("summary %+v", s)
	}
}

// TestTime shows that the clock follows the time stamps, also over long gaps, and never goes back. Frames that are held at the end are
// dropped.
func TestTime(t *testing.T) {
	ping := eth(routerMAC, guestMAC, 0x0800, packet(pod, far, 1, 0, echo...)...)
	at := func(s int64) replay.Packet {
		return replay.Packet{Port: "guest", Time: time.Unix(s, 0), Frame: vswitch.Frame{Data: bytes.Clone(ping)}}
	}
	p, records := play(t, replay.Options{Setup: delegate()}, at(1000), at(990), at(1<<40), at(0))
	var lines []string
	for _, r := range records {
		lines = append(lines, r.String())
	}
	all := strings.Join(lines, "\n")
	if s := p.Summary(); s.Held != 0 || s.Drops["neighbour-unresolved"] != 4 || s.Dropped != 4 {
		t.Errorf("summary %+v of\n%s", s, all)
	}
	if !strings.Contains(lines[1], "   2    0.000000") || strings.Count(all, "drop of frame 1: neighbour-unresolved") != 1 {
		t.Errorf("have\n%s", all)
	}
	for i := 1; i < len(records); i++ {
		if records[i].Seconds < records[i-1].Seconds {
			t.Errorf("the clock goes back:\n%s\n%s", lines[i-1], lines[i])
		}
	}
}

// TestSameIdentification shows that held datagrams with the same identification are distinguished when they leave. Linux sets identification 0 in
// datagrams with DF.
func TestSameIdentification(t *testing.T) {
	at := func(port string, data []byte) replay.Packet {
		return replay.Packet{Port: port, Time: replay.At(time.Second), Frame: vswitch.Frame{Data: data}}
	}
	datagram := func(payload int) []byte {
		body := append([]byte{0, 53, 0, 54, 0, byte(8 + payload), 0, 0}, make([]byte, payload)...)
		return eth(routerMAC, guestMAC, 0x0800, packet(pod, far, 17, 0x4000, body...)...)
	}
	answer := eth(wireMAC, gwMAC, 0x0806, arp(2, gwMAC, gw, pod)...)
	p, records := play(t, replay.Options{Setup: delegate()}, at("guest", datagram(60)), at("guest", datagram(40)), at("uplink", answer))
	if s := p.Summary(); s.Sent != 3 || s.Held != 0 {
		t.Errorf("summary %s", s)
	}
	last := records[len(records)-1].String()
	if !strings.Contains(last, "frame 1") || !strings.Contains(last, "frame 2") {
		t.Errorf("the record of the answer: %s", last)
	}
}
