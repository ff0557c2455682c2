package vswitch_test

// The runner of the scripts in testdata/switch and testdata/delegate. testdata/README.md documents their language. In short:
//
//	# What this shows.
//	bridge a b c                                  the forwarder, and one line for each item of its configuration
//	ageing 300s
//	+0   a < 02:..:01 > 02:..:02 ip 10.0.0.1 > 10.0.0.2 icmp echo     a step: a frame enters at port a
//	+0   b > 02:..:01 > 02:..:02 ip 10.0.0.1 > 10.0.0.2 icmp echo     the frames that must leave,
//	+0   c > 02:..:01 > 02:..:02 ip 10.0.0.1 > 10.0.0.2 icmp echo     in order for each port,
//	+5s  b < 02:..:02 > 02:..:02 lldp
//	+0   b drop hairpin                                               and the drops
//
// This file runs steps and compares outcomes. script_parse_test.go reads steps, script_config_test.go the lines before them.
// script_frame_test.go and script_packet_test.go encode frames, script_describe_test.go describes them.

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

func TestBridgeScripts(t *testing.T)   { testScripts(t, "../testdata/switch") }
func TestDelegateScripts(t *testing.T) { testScripts(t, "../testdata/delegate") }

func testScripts(t *testing.T, folder string) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s (%v)", folder, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := runScript(filepath.Base(file), string(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

// runScript returns an error for a malformed script or an unexpected outcome.
func runScript(name, text string) error {
	s, err := parseScript(name, text)
	if err != nil {
		return err
	}
	r := newRun(s)
	for i := range s.steps {
		step := &s.steps[i]
		if diff := r.do(step); diff != "" {
			return fmt.Errorf("%s:%d: %s\n%s", name, step.line, step.text, diff)
		}
	}
	return nil
}

// A run is the state of a script that is running.
type run struct {
	script    *script
	forwarder vswitch.Forwarder
	bridge    *vswitch.Bridge   // one of the two is nil
	delegate  *vswitch.Delegate //
	cfg       vswitch.DelegateConfig
	outs      []*vswitch.Out // by port
	ticks     *vswitch.Out
	counters  []*vswitch.Counters
	ticked    *vswitch.Counters
	used      int           // calls of OnUse
	takes     bool          // OnUse makes the guest the holder
	ahead     time.Duration // of the forwarder's clock, compared with the script's
	expected  bool          // the guest
}

func newRun(s *script) *run { return newRunOf(s, s.delegate) }

func newRunOf(s *script, cfg vswitch.DelegateConfig) *run {
	r := &run{script: s, cfg: cfg, ticked: new(vswitch.Counters)}
	for range s.ports {
		c := new(vswitch.Counters)
		r.counters = append(r.counters, c)
		r.outs = append(r.outs, vswitch.NewOut(len(s.ports), c))
	}
	r.ticks = vswitch.NewTickOut(r.ticked, r.counters)
	if s.isBridge {
		r.bridge = vswitch.NewBridge(s.bridge)
		r.forwarder = r.bridge
		return r
	}
	cfg.OnUse = func(v *vswitch.Family) {
		r.used++
		if r.takes {
			v.SetHolder(vswitch.HolderGuest, vswitch.MAC{})
		}
	}
	r.delegate = vswitch.NewDelegate(cfg)
	r.forwarder = r.delegate
	for _, n := range s.heard {
		r.input(vswitch.PortUplink, hello(n, cfg), 0)
	}
	for port := range r.outs {
		r.outs[port].Flush(func(int, []vswitch.Frame) {})
	}
	for _, v := range r.families() {
		v.SetHolder(s.holder, s.holderMAC)
	}
	return r
}

// families returns those of the pod.
func (r *run) families() (list []*vswitch.Family) {
	for _, v := range []*vswitch.Family{r.delegate.IPv4, r.delegate.IPv6} {
		if v != nil {
			list = append(list, v)
		}
	}
	return list
}

// hello returns a neighbour's request for the pod address, which makes the neighbour known.
func hello(n vswitch.Neighbour, cfg vswitch.DelegateConfig) vswitch.Frame {
	if n.Addr.Is6() {
		self := cfg.AddressIPv6.Addr()
		return newWords(fmt.Sprintf("%v > 33:33:ff:00:00:07 ip6 %v > %v icmp6 ns %v link %v", n.MAC, n.Addr, self, self, n.MAC), nil).frame()
	}
	w := newWords(fmt.Sprintf("%v > %v arp who-has %v tell %v", n.MAC, vswitch.Broadcast, cfg.Address.Addr(), n.Addr), nil)
	return w.frame()
}

// input forwards one frame and returns copies of the output. It overwrites the frame afterwards, because a forwarder must not keep it.
func (r *run) input(port int, f vswitch.Frame, now time.Duration) []event {
	f.Data = bytes.Clone(f.Data)
	r.forwarder.Forward(port, []vswitch.Frame{f}, now, r.outs[port])
	events := r.flush(r.outs[port])
	for i := range f.Data {
		f.Data[i] = 0xdb
	}
	return events
}

func (r *run) flush(out *vswitch.Out) (events []event) {
	out.Flush(func(port int, frames []vswitch.Frame) {
		for _, f := range frames {
			f.Data = bytes.Clone(f.Data)
			events = append(events, event{port: port, frame: f})
		}
	})
	return events
}

// do runs one step and returns the difference between its outcome and the script, or "".
func (r *run) do(s *step) string {
	before := r.drops()
	r.used = 0
	got, complaint := r.act(s)
	if complaint != "" {
		return complaint
	}
	for port, drops := range r.drops() {
		for _, reason := range slices.Sorted(maps.Keys(drops)) {
			for range drops[reason] - before[port][reason] {
				got = append(got, event{port: port, drop: reason})
			}
		}
	}
	for range r.used {
		got = append(got, event{used: true})
	}
	return r.diff(s.want, got, s.verb == "tick")
}

func (r *run) drops() []map[string]uint64 {
	drops := []map[string]uint64{}
	for _, c := range append(r.counters, r.ticked) {
		drops = append(drops, c.Drops())
	}
	return drops
}

func (r *run) act(s *step) (got []event, complaint string) {
	now := s.at + r.ahead
	switch s.verb {
	case "<":
		for range s.times {
			got = append(got, r.input(s.port, s.frame, now)...)
		}
	case "tick":
		r.forwarder.Tick(now, r.ticks)
		got = r.flush(r.ticks)
	case "hand":
		if r.takes = s.takes; r.takes {
			break
		}
		for i, v := range r.families() {
			if !(s.argument == "ipv4" && i == 1) && !(s.argument == "ipv6" && v != r.delegate.IPv6) {
				v.SetHolder(s.holder, s.mac)
			}
		}
	case "now":
		r.cfg = s.uplink
		r.delegate.SetUplink(r.cfg)
	case "expect":
		r.expected = !s.refused
		for _, v := range r.families() {
			v.ExpectGuest(r.expected)
		}
	case "static":
		if ok := r.bridge.SetStatic(s.mac, s.port, now); ok == s.refused {
			complaint = fmt.Sprintf("SetStatic = %v", ok)
		}
	case "forget":
		r.bridge.Forget(s.port)
	case "stations":
		if have := r.stations(now); have != s.argument {
			complaint = fmt.Sprintf("  have %s\n  want %s", have, s.argument)
		}
	case "last-use":
		v := r.families()[0]
		if s.argument == "ipv6" {
			v = r.delegate.IPv6
		}
		at, ok := v.LastUseBy(s.mac)
		if ok {
			at -= r.ahead
		}
		if at != s.lastUse {
			complaint = fmt.Sprintf("  have %v\n  want %v", at, s.lastUse)
		}
	}
	return got, complaint
}

func (r *run) stations(now time.Duration) string {
	var list []string
	for _, s := range r.bridge.Stations(now) {
		text := fmt.Sprintf("%s=%s", r.script.ports[s.Port], macWord(s.MAC[:], r.script.names))
		switch {
		case s.Static:
			text += "!"
		case s.Age > 0:
			text += "+" + s.Age.String()
		}
		list = append(list, text)
	}
	return strings.Join(list, " ")
}

// An event is one outcome of a step, actual or expected.
type event struct {
	port  int
	frame vswitch.Frame
	drop  string // the reason, when it is a drop
	used  bool   // a call of OnUse
}

func (e event) equal(f event) bool {
	return e.port == f.port && e.drop == f.drop && e.used == f.used &&
		e.frame.Offload == f.frame.Offload && bytes.Equal(e.frame.Data, f.frame.Data)
}

func (r *run) text(e event) string {
	port := "tick"
	if e.port < len(r.script.ports) {
		port = r.script.ports[e.port]
	}
	switch {
	case e.used:
		return "used"
	case e.drop != "":
		return fmt.Sprintf("%s drop %s", port, e.drop)
	}
	return fmt.Sprintf("%s > %s", port, describe(e.frame, r.script.names))
}

// diff compares events: in order for each port, drops in any order. The order of neighbours in a tick is undefined.
func (r *run) diff(want, got []event, anyOrder bool) string {
	sorted := func(events []event) []event {
		return slices.SortedStableFunc(slices.Values(events), func(a, b event) int {
			if d := a.rank() - b.rank(); d != 0 || a.drop == b.drop && !anyOrder {
				return d
			}
			return strings.Compare(a.drop+string(a.frame.Data), b.drop+string(b.frame.Data))
		})
	}
	want, got = sorted(want), sorted(got)
	if slices.EqualFunc(want, got, event.equal) {
		return ""
	}
	var text strings.Builder
	for len(want) > 0 || len(got) > 0 {
		switch {
		case len(want) > 0 && len(got) > 0 && want[0].equal(got[0]):
			fmt.Fprintf(&text, "    ok    %s\n", r.text(got[0]))
			want, got = want[1:], got[1:]
		case len(want) > 0 && !slices.ContainsFunc(got, want[0].equal):
			fmt.Fprintf(&text, "  - want  %s\n", r.text(want[0]))
			want = want[1:]
		case len(got) > 0:
			fmt.Fprintf(&text, "  + got   %s\n", r.text(got[0]))
			got = got[1:]
		}
	}
	return text.String()
}

// rank sorts the frames of each port before its drops.
func (e event) rank() int {
	switch {
	case e.used:
		return 1 << 20
	case e.drop != "":
		return 2*e.port + 1
	}
	return 2 * e.port
}
