package vswitch_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// FuzzResume checks that Resume rejects a state without any change, or applies it exactly. Then the forwarder works: every held frame is sent
// or dropped, and no forbidden frame leaves.
func FuzzResume(f *testing.F) {
	kinds := []string{"bridge", "counters", "delegate", "pinned", "no-arp", "ipv6"}
	frames := held(f, 0, "ip 10.244.1.7 > 10.244.1.9 udp 1 > 2") + "," + held(f, 2, "ip 10.244.1.7 > 10.0.0.1 df tcp 1000 > 80 ack data 3000 gso tcp4 1398")
	for kind, text := range []string{
		`{"stations":[{"mac":"02:00:00:00:00:02","port":1,"age_ns":300000000000},{"mac":"02:00:00:00:00:01","port":2}],"next_sweep_ns":5}`,
		`{"rx_frames":1,"rx_bytes":60,"tx_frames":2,"tx_bytes":120,"drops":{"short":3}}`,
		`{"holder":"switch","guest_mac":"02:00:00:00:00:02","last_use_age_ns":7,"neighbours":[{"address":"10.244.1.1","mac":"0a:58:0a:f4:01:01",
			"age_ns":31000000000,"wanted":true},{"address":"10.244.1.3","mac":"02:00:00:00:00:03","age_ns":40000000000,"last_probe_age_ns":500000000}],"questions":[{"address":"10.244.1.9","tries":3,"age_ns":999,"frames":[` + frames + `]}],"next_sweep_ns":1}`,
		`{"holder":"kernel","guest_mac":"02:00:00:00:00:01","questions":[{"address":"10.244.1.1","tries":0}]}`,
		`{"holder":"guest"}`,
	} {
		f.Add(uint8(kind), text)
	}
	frame6 := held(f, 0, "ip6 fd00:10:244:1::7 > fd00:10:244:1::9 udp 1 > 2") + "," + held(f, 2, "ip6 fd00:10:244:1::7 > 2001:db8::1 ext 60 010400000000 udp 1 > 2")
	f.Add(uint8(5), `{"holder":"guest","ipv6":{"holder":"switch","guest_mac":"02:00:00:00:00:02","last_use_age_ns":7,"neighbours":[{"address":"fe80::1",
		"mac":"0a:58:0a:f4:01:01","age_ns":31000000000,"wanted":true}],"questions":[{"address":"fd00:10:244:1::9","tries":3,"age_ns":999,"frames":[`+frame6+`]}],"next_sweep_ns":1}}`)
	f.Add(uint8(5), `{"holder":"guest"}`)
	f.Add(uint8(2), question("10.244.1.9", held(f, 0, "ip 10.244.1.7 > 10.244.1.9 udp 1 > 2 data 1500"))) // the frame is above the MTU
	for _, r := range refusals(f) {                                                                       // nearly valid states
		f.Add(uint8(slices.Index(kinds, r.kind)), r.state)
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		r := newResumable(t, kinds[int(kind)%len(kinds)])
		before := r.state()
		if err := r.resume(text); err != nil {
			if diff := cmp.Diff(before, r.state(), sameState); diff != "" {
				t.Fatalf("Resume = %v, and has changed (-before +after):\n%s", err, diff)
			}
			return
		}
		got := r.state()
		if diff := cmp.Diff(canonical(t, got, text), got, sameState); diff != "" {
			t.Fatalf("the state differs (-want +got):\n%s", diff)
		}
		if s, ok := got.(handover.Delegate); ok {
			works(t, kinds[int(kind)%len(kinds)], s)
		}
	})
}

// canonical decodes a state of the same type as like and sorts it as State does.
func canonical(t *testing.T, like any, text string) any {
	t.Helper()
	switch like.(type) {
	case handover.Bridge:
		s := read[handover.Bridge](t, text)
		static := []handover.MAC{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 9}} // those of newResumable: they stay
		s.Stations = slices.DeleteFunc(s.Stations, func(e handover.Station) bool { return slices.Contains(static, e.MAC) })
		slices.SortStableFunc(s.Stations, func(a, b handover.Station) int { return int(a.Age - b.Age) })
		s.Stations = s.Stations[:min(len(s.Stations), 4-len(static))] // the limit of newResumable
		slices.SortFunc(s.Stations, func(a, b handover.Station) int { return slices.Compare(a.MAC[:], b.MAC[:]) })
		return s
	case handover.Counters:
		s := read[handover.Counters](t, text)
		maps.DeleteFunc(s.Drops, func(_ string, n uint64) bool { return n == 0 })
		return s
	}
	s := read[handover.Delegate](t, text)
	sortFamily(&s.Family)
	if s.IPv6 != nil {
		sortFamily(s.IPv6)
	}
	return s
}

func sortFamily(s *handover.Family) {
	slices.SortFunc(s.Neighbours, func(a, b handover.Neighbour) int { return a.Address.Compare(b.Address) })
	slices.SortFunc(s.Questions, func(a, b handover.Question) int { return a.Address.Compare(b.Address) })
	for i := range s.Questions {
		q := &s.Questions[i]
		q.Frames = slices.DeleteFunc(q.Frames, func(f handover.Frame) bool { return vnet.WireLen(vnet.Header(f.Offload), f.Data) > 1450+14 })
	}
}

func read[S any](t *testing.T, text string) (s S) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// works resumes s in another forwarder, answers one question and lets the others time out.
func works(t *testing.T, kind string, s handover.Delegate) {
	t.Helper()
	r := newRun(scriptOf(t, "delegate\n"+map[string]string{"no-arp": "no-arp", "pinned": "pinned-mac guest", "ipv6": "ipv6"}[kind]))
	if err := r.delegate.Resume(s, resumeNow); err != nil {
		t.Fatalf("Resume rejects a state that it accepted before: %v", err)
	}
	total, sent, dropped := 0, 0, 0
	questions := s.Questions
	if s.IPv6 != nil {
		questions = append(slices.Clone(questions), s.IPv6.Questions...)
	}
	for _, q := range questions {
		total += len(q.Frames)
	}
	check := func(events []event) {
		for _, e := range events {
			if vnet.WireLen(e.frame.Offload, e.frame.Data) > 1450+14 && e.port == vswitch.PortUplink {
				t.Errorf("%x is sent, which is too large", e.frame.Data)
			}
			if e.port == vswitch.PortUplink && e.frame.Data[12] == 8 && e.frame.Data[13] == 0 {
				sent++
			}
			if isIPv6 := e.frame.Data[12] == 0x86; isIPv6 && e.port == vswitch.PortUplink && !(e.frame.Data[20] == 58 && e.frame.Data[54] >= 135) {
				sent++ // and not neighbour discovery
			}
		}
	}
	if len(questions) > 0 {
		first := vswitch.Neighbour{Addr: questions[0].Address, MAC: vswitch.MAC{2, 5}}
		check(r.input(vswitch.PortUplink, hello(first, r.script.delegate), resumeNow))
	}
	for i := range 5 {
		r.forwarder.Tick(resumeNow+time.Duration(i+1)*time.Second, r.ticks)
		check(r.flush(r.ticks))
	}
	for port, c := range r.counters {
		if n := c.Drops()["neighbour-unresolved"]; port == vswitch.PortGuest || port == vswitch.PortPod {
			dropped += int(n)
		}
	}
	after := r.delegate.State(resumeNow)
	left := after.Questions
	if after.IPv6 != nil {
		left = append(left, after.IPv6.Questions...)
	}
	if len(left) > 0 || sent+dropped != total {
		t.Errorf("%d frames were held, %d sent, %d dropped; still held: %v", total, sent, dropped, left)
	}
}
