package replay_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/podswitch/podswitch/replay"
)

// FuzzReadCapture: whatever the bytes of a file are, it is an error or packets, which a switch takes, the one that the file
// describes or another, and every frame is accounted for; and what was read of a capture of ours is written and read back the same.
func FuzzReadCapture(f *testing.F) {
	f.Add(written(f, delegate(), outcomes()))       // all outcomes, events, offload headers
	f.Add(written(f, bridge(3), flooded()))         // another setup
	f.Add(written(f, delegate(), everything()[:6])) // empty frames, hands
	f.Add(plain(1, 100, 3, 5, 1, 2, 3))             // the old format, cut off
	f.Add(plain(1, 0xffffffff, 0xfffffff0, 1))      // a lying length
	f.Add([]byte{0x0a, 0x0d, 0x0d, 0x0a, 12, 0})    // a header that ends at once
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
			t.Fatalf("a setup that was read is refused: %v", err)
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

// readAgain writes the packets that Write takes, and compares what is read of that.
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
