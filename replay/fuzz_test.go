package replay_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/replay"
)

// FuzzReadCapture reads any bytes. The result is an error or packets. A player with the setup of the file, or another one, accounts for every
// frame. Packets of a file with a setup are the same after they were written and read again.
func FuzzReadCapture(f *testing.F) {
	for _, s := range captureSeeds(f) {
		f.Add(s.file)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		setup, packets, err := readAll(bytes.NewReader(b))
		if setup != nil && err == nil {
			readAgain(t, *setup, packets)
		}
		o := replay.Options{Setup: delegate()}
		if setup != nil {
			o.Setup, o.Exact = *setup, true
		}
		p, err := replay.NewPlayer(o)
		if err != nil {
			t.Fatalf("NewPlayer rejects the setup of a file: %v", err)
		}
		frames := 0
		for i := range packets {
			if packets[i].Event == nil {
				frames++
			}
			for _, r := range p.Play(&packets[i]) {
				_ = r.String()
			}
		}
		p.Finish()
		s := p.Summary()
		if s.Frames != frames || s.Sent+s.Dropped+s.Held+s.Noted+s.Skipped != frames {
			t.Fatalf("%d frames, and the summary has %s", frames, s)
		}
	})
}

// readAgain writes the packets that Write accepts, reads the result and compares.
func readAgain(t *testing.T, setup replay.Setup, packets []replay.Packet) {
	t.Helper()
	ports := setup.Ports()
	packets = slices.DeleteFunc(slices.Clone(packets), func(p replay.Packet) bool {
		return p.Event == nil && !slices.Contains(ports, p.Port) || p.Time.Before(replay.At(0)) || p.Time.After(replay.At(1<<62))
	})
	_, again, err := readAll(bytes.NewReader(written(t, setup, packets)))
	if err != nil || len(again) != len(packets) {
		t.Fatalf("of %d packets, %d were read again: %v", len(packets), len(again), err)
	}
	for i, p := range packets {
		q := again[i]
		if !p.Time.Equal(q.Time) || !bytes.Equal(p.Frame.Data, q.Frame.Data) || p.Event == nil && p.Frame.Offload != q.Frame.Offload ||
			(p.Event == nil) != (q.Event == nil) || p.Event != nil && *p.Event != *q.Event {
			t.Fatalf("packet %d: wrote %+v, and read %+v", i, p, q)
		}
	}
}

// A captureSeed is a file with a name that states what it exercises.
type captureSeed struct {
	name string
	file []byte
}

func captureSeeds(f *testing.F) []captureSeed {
	full, events := written(f, delegate(), outcomes()), written(f, delegate(), everything()[:6])
	swapped := plain(1, 100, 3, 3, 1, 2, 3)
	for i := 0; i < 40; i += 4 {
		slices.Reverse(swapped[i : i+4])
	}
	slices.Reverse(swapped[4:8]) // two words: the version
	slices.Reverse(swapped[4:6])
	slices.Reverse(swapped[6:8])
	nanos := plain(1, 100, 3, 3, 1, 2, 3)
	copy(nanos, []byte{0xa1, 0xb2, 0x3c, 0x4d})
	cooked := bytes.Clone(events)
	cooked[binary.LittleEndian.Uint32(cooked[4:])+8] = 113 // the link type, in the block after the section's
	seeds := []captureSeed{
		{"all outcomes, events, offload headers", full},
		{"another setup", written(f, bridge(3), flooded())},
		{"both families", written(f, dualStack(), dualStackPackets())}, {"IPv6 only", written(f, ipv6Only(), dualStackPackets())},
		{"empty frames, hands", events},
		{"nothing", nil}, {"text", []byte("hello, world")}, {"compressed", []byte{0x1f, 0x8b, 8, 0}},
		{"a header that ends at once", []byte{0x0a, 0x0d, 0x0d, 0x0a, 12, 0}},
		{"a packet that ends too early", full[:len(full)-5]},
		{"an interface that is no Ethernet", cooked},
		{"the old format, of a longer frame", plain(1, 100, 3, 5, 1, 2, 3)},
		{"the old format in the other byte order", swapped},
		{"the old format with nanoseconds", nanos},
		{"pcap: a wrong length", plain(1, 0xffffffff, 0xfffffff0, 1)},
		{"the old format: no Ethernet", plain(113, 100, 3, 3, 1, 2, 3)},
		{"the old format: it ends in its header", plain(1, 100, 0, 0)[:20]},
		{"the old format: it ends behind the header of a packet", plain(1, 100, 60, 60)},
	}
	return append(seeds, setupSeeds(f)...)
}

// setupSeeds returns captures with an invalid setup or invalid comments of packets.
func setupSeeds(f *testing.F) (seeds []captureSeed) {
	for _, s := range []struct {
		setup      replay.Setup
		right, not string
	}{
		{delegate(), `"WireMAC"`, `"WireMCA"`},
		{delegate(), `podswitch-setup {"`, `podswitch-setup ["`},
		{delegate(), `podswitch-setup {"`, `someoneelses-ca {"`},
		{delegate(), `"holder":"guest"`, `"holder":"guess"`},
		{delegate(), `"Address":"10.244.1.7/24"`, `"Address":"fd00::7/64"`},
		{delegate(), `"Server":"169.254.75.10"`, `"Server":"fd00::1"`},
		{delegate(), `"MTU":1450`, `"MTU":67`},
		{delegate(), `"Destination":"10.244.1.0/24"`, `"Destination":""`},
		{delegate(), `"169.254.169.254/32"`, `""`},
		{bridge(3), `"Ports":3`, `"Ports":0`},
		{bridge(3), `"Limit":16`, `"Limit":-1`},
		{bridge(3), `"Ageing":300000000000`, `"Ageing":0`},
		{bridge(3), `"Upstream":-1`, `"Upstream":-2`},
		{bridge(3), `"bridge":{`, `"other" :{`},
		{delegate(), `podswitch-tick`, `podswitch-hand`},
		{delegate(), `podswitch-offload flags`, `podswitch-offload flogs`},
	} {
		packets := outcomes()
		if s.setup.Bridge != nil {
			packets = flooded()
		}
		good := written(f, s.setup, packets)
		not := s.not + strings.Repeat(" ", len(s.right)-len(s.not)) // keep the length of the block
		if !bytes.Contains(good, []byte(s.right)) {
			f.Fatalf("no capture has %q", s.right)
		}
		seeds = append(seeds, captureSeed{s.not, bytes.Replace(good, []byte(s.right), []byte(not), 1)})
	}
	const least = `{"delegate":{"Address":"10.0.0.2/24","Server":"10.0.0.1","MTU":1500,"GuestMTU":1500,`
	for _, setup := range []string{
		`{}`, `{"delegate":{}}`, `{"bridge":{},"delegate":{}}`, `{"delegate":{"OnUse":{}}}`,
		`{"bridge":{"Ports":3,"Limit":1,"Ageing":1,"MaxFrame":-1}}`, `{"bridge":{"Ports":3,"Limit":1,"Ageing":1,"Pinned":"02:00:00:00:00:01"}}`,
		least + `"Permanent":[{"Addr":"fd00::1","MAC":"02:00:00:00:00:01"}]}}`, least + `"Routes":[{"Destination":"10.0.0.0/24","Gateway":"fd00::1"}]}}`,
		`{"delegate":{"AddressIPv6":"fd00::7/64","MTU":1500,"GuestMTU":1500}}`, `{"delegate":{"AddressIPv6":"10.0.0.2/24","MTU":1500,"GuestMTU":1500}}`,
		least + `"AddressIPv6":"::ffff:10.0.0.2/128"}}`, least + `"PinnedMAC":"02:00:00:00:00:01"}}`, least + `"WireMAC":"02:00:00:00:00:01"}}`,
	} {
		good := written(f, delegate(), outcomes())
		const word = "podswitch-setup "
		from := bytes.Index(good, []byte(word)) + len(word)
		to := bytes.LastIndexByte(good[:binary.LittleEndian.Uint32(good[4:])], '}') + 1 // the section is the first block
		if from < len(word) || to-from < len(setup) {
			f.Fatalf("no room for %s in %q", setup, good[from:to])
		}
		copy(good[from:to], setup+strings.Repeat(" ", to-from-len(setup)))
		seeds = append(seeds, captureSeed{setup, good})
	}
	return seeds
}
