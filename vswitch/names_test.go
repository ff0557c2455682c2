package vswitch_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podswitch/podswitch/vswitch"
)

func TestMACText(t *testing.T) {
	for _, test := range []struct {
		text string
		want vswitch.MAC
		ok   bool
	}{
		{"02:00:00:00:00:01", vswitch.MAC{2, 0, 0, 0, 0, 1}, true},
		{"02-00-00-00-00-0A", vswitch.MAC{2, 0, 0, 0, 0, 10}, true},
		{"0200.0000.00ff", vswitch.MAC{2, 0, 0, 0, 0, 255}, true},
		{"02:00:00:00:00:00:00:01", vswitch.MAC{}, false},
		{"02:00:00:00:00", vswitch.MAC{}, false},
		{"guest", vswitch.MAC{}, false},
	} {
		got, err := vswitch.ParseMAC(test.text)
		if got != test.want || err == nil != test.ok {
			t.Errorf("ParseMAC(%q) = %v, %v; want %v, %v", test.text, got, err, test.want, test.ok)
		}
	}
}

// The JSON of a MAC is its text, and the empty string for the zero MAC.
func TestMACJSON(t *testing.T) {
	type document struct{ A, B vswitch.MAC }
	in := document{A: vswitch.MAC{2, 0, 0, 0, 0, 1}}
	text, err := json.Marshal(in)
	if want := `{"A":"02:00:00:00:00:01","B":""}`; err != nil || string(text) != want {
		t.Errorf("Marshal = %s, %v; want %s", text, err, want)
	}
	out := document{B: vswitch.Broadcast}
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Errorf("Unmarshal = %+v, %v; want %+v", out, err, in)
	}
	if err := json.Unmarshal([]byte(`{"A":"no MAC"}`), &out); err == nil {
		t.Error("Unmarshal accepts an invalid MAC")
	}
}

func TestMACKinds(t *testing.T) {
	for _, test := range []struct {
		mac             vswitch.MAC
		multicast, zero bool
	}{
		{vswitch.MAC{}, false, true},
		{vswitch.MAC{2}, false, false},
		{vswitch.MAC{0, 0, 0, 0, 0, 1}, false, false},
		{vswitch.MAC{1, 0, 0x5e}, true, false},
		{vswitch.Broadcast, true, false},
	} {
		if test.mac.IsMulticast() != test.multicast || test.mac.IsZero() != test.zero {
			t.Errorf("%v: multicast %v, zero %v", test.mac, test.mac.IsMulticast(), test.mac.IsZero())
		}
	}
}

// Every reason has a unique name, which status, documentation and scripts use.
func TestReasonNames(t *testing.T) {
	c := new(vswitch.Counters)
	seen := make(map[string]vswitch.Reason)
	for _, r := range vswitch.Reasons() {
		name := r.String()
		if other, ok := seen[name]; ok || name == "" {
			t.Errorf("reason %d has the name %q, as reason %d", r, name, other)
		}
		seen[name] = r
		c.Drop(r, int(r)+1)
	}
	want := make(map[string]uint64)
	for name, r := range seen {
		want[name] = uint64(r) + 1
	}
	if diff := cmp.Diff(want, c.Drops()); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
}

func TestCountersSent(t *testing.T) {
	c := new(vswitch.Counters)
	c.Sent(2, 100)
	c.Sent(1, 50)
	if frames, bytes := c.TxFrames.Load(), c.TxBytes.Load(); frames != 3 || bytes != 150 {
		t.Errorf("%d frames, %d bytes; want 3 and 150", frames, bytes)
	}
	if len(c.Drops()) != 0 {
		t.Errorf("drops: %v", c.Drops())
	}
}

func TestHolderString(t *testing.T) {
	for h, want := range map[vswitch.Holder]string{vswitch.HolderKernel: "kernel", vswitch.HolderSwitch: "switch", vswitch.HolderGuest: "guest"} {
		if h.String() != want {
			t.Errorf("holder %d is %q, want %q", h, h, want)
		}
	}
}
