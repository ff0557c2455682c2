package vswitch_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// resumeNow is the time at which tests resume.
const resumeNow = 200 * 365 * 24 * time.Hour

func scriptOf(t testing.TB, lines string) *script {
	t.Helper()
	s, err := parseScript("resume", "# Resumed.\n"+lines+"\n+0 tick\n")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sameState treats empty and nil slices as equal, as JSON does.
var sameState = cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})}

// A resumable is a forwarder or counters, with Resume and State.
type resumable struct {
	resume func(text string) error
	state  func() any
}

func newResumable(t testing.TB, kind string) resumable {
	t.Helper()
	switch kind {
	case "bridge":
		s := scriptOf(t, "bridge a b c\nlimit 4\nname guest 02:..:01\npinned c guest")
		b := vswitch.NewBridge(s.bridge)
		b.SetStatic(vswitch.MAC{2, 0, 0, 0, 0, 9}, 0, 0)
		return resumableOf(func(s handover.Bridge) error { return b.Resume(s, resumeNow) }, func() any { return b.State(resumeNow) })
	case "counters":
		c := new(vswitch.Counters)
		return resumableOf(c.Resume, func() any { return c.State() })
	}
	lines := map[string]string{"pinned": "pinned-mac guest", "no-arp": "no-arp", "ipv6": "ipv6\npermanent fd00:10:244:1::2 peer", "delegate": "permanent 10.244.1.2 peer"}
	d := vswitch.NewDelegate(scriptOf(t, "delegate\n"+lines[kind]).delegate)
	return resumableOf(func(s handover.Delegate) error { return d.Resume(s, resumeNow) }, func() any { return d.State(resumeNow) })
}

func resumableOf[S any](resume func(S) error, state func() any) resumable {
	return resumable{func(text string) error {
		var s S
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return err
		}
		return resume(s)
	}, state}
}

// held returns the JSON of a held frame.
func held(t testing.TB, port int, line string) string {
	t.Helper()
	w := newWords("guest > router "+line, scriptOf(t, "delegate").names)
	f := w.frame()
	if err := w.end(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	text, err := json.Marshal(handover.Frame{Port: port, Offload: handover.Offload(f.Offload), Data: f.Data})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// list returns n JSON elements that differ in a number.
func list(n int, element func(i int) string) string {
	var elements []string
	for i := range n {
		elements = append(elements, element(i))
	}
	return strings.Join(elements, ",")
}

func question(address, frames string) string {
	return fmt.Sprintf(`{"holder":"guest","questions":[{"address":%q,"tries":1,"frames":[%s]}]}`, address, frames)
}

// Resume rejects a state that the forwarder could not reach itself. The error names the field and the expected value, and nothing changes.
func TestResumeRefuses(t *testing.T) {
	for _, test := range refusals(t) {
		r := newResumable(t, test.kind)
		before := r.state()
		err := r.resume(test.state)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %.200s: Resume = %v, want %q", test.kind, test.state, err, test.want)
		}
		if diff := cmp.Diff(before, r.state(), sameState); diff != "" {
			t.Errorf("%s %.200s: Resume has changed the state (-before +after):\n%s", test.kind, test.state, diff)
		}
	}
}

// TestResumeFullTable: a table that hosts on the wire have filled does not make a takeover fail that pins a MAC. The most recent stations stay.
func TestResumeFullTable(t *testing.T) {
	cfg := vswitch.BridgeConfig{Ports: 2, Limit: 4, Upstream: 1}
	before, out := vswitch.NewBridge(cfg), vswitch.NewOut(2, new(vswitch.Counters))
	for i := range 5 {
		frame := append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, byte(i)}, make([]byte, 48)...)
		before.Forward(1, []vswitch.Frame{{Data: frame}}, time.Duration(5-i)*time.Second, out)
	}
	cfg.Pinned = vswitch.MAC{2, 1}
	next := vswitch.NewBridge(cfg)
	if err := next.Resume(before.State(10*time.Second), resumeNow); err != nil {
		t.Fatal(err)
	}
	var got []vswitch.MAC
	for _, s := range next.Stations(resumeNow) {
		got = append(got, s.MAC)
	}
	want := []vswitch.MAC{{2, 1}, {2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}
	if !slices.Equal(got, want) {
		t.Errorf("stations %v, want %v", got, want)
	}
}

// Resume does not discard frames that are held.
func TestResumeTwice(t *testing.T) {
	r := newResumable(t, "delegate")
	state := question("10.244.1.9", held(t, 0, "ip 10.244.1.7 > 10.244.1.9 udp 1 > 2"))
	if err := r.resume(state); err != nil {
		t.Fatal(err)
	}
	before := r.state()
	if err := r.resume(state); err == nil || !strings.Contains(err.Error(), "frames wait") {
		t.Errorf("Resume = %v, want an error", err)
	}
	if diff := cmp.Diff(before, r.state(), sameState); diff != "" {
		t.Errorf("Resume has changed the state (-before +after):\n%s", diff)
	}
}
