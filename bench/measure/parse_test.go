package main

import (
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	tail := " S 17 42 42 0 -1 4194560 100 0 0 0 250 125 7 7 20 0 1 0 1 1 1"
	for name, test := range map[string]struct {
		text string
		want stat
		bad  bool
	}{
		"plain":            {text: "42 (pump)" + tail, want: stat{parent: 17, cpu: 3.75}},
		"name with spaces": {text: "42 (a b c)" + tail, want: stat{parent: 17, cpu: 3.75}},
		"name with ') '":   {text: "42 (x) S 1 (y)" + tail, want: stat{parent: 17, cpu: 3.75}},
		"no name":          {text: "42 pump S 17", bad: true},
		"cut off":          {text: "42 (pump) S 17 42", bad: true},
		"no number":        {text: "42 (pump) S 17 42 42 0 -1 4194560 100 0 0 0 x 125 7", bad: true},
		"empty":            {bad: true},
	} {
		got, err := parseStat(test.text)
		if (err != nil) != test.bad || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v, an error: %t", name, got, err, test.want, test.bad)
		}
	}
}

func TestTree(t *testing.T) {
	all := map[int]stat{1: {}, 10: {parent: 1}, 11: {parent: 10}, 12: {parent: 11}, 20: {parent: 1}, 21: {parent: 20}}
	for _, test := range []struct{ roots, want []int }{
		{[]int{10}, []int{10, 11, 12}},
		{[]int{10, 11}, []int{10, 11, 12}}, // each counts once
		{[]int{12, 20}, []int{12, 20, 21}},
		{[]int{99}, nil},
		{nil, nil},
	} {
		got := tree(all, test.roots)
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("tree(%v) = %v, want %v", test.roots, got, test.want)
		}
	}
}

func TestParseResident(t *testing.T) {
	got, err := parseResident("Name:\tpump\nVmHWM:\t    9999 kB\nVmRSS:\t    2048 kB\nThreads:\t5\n")
	if err != nil || got != 2 {
		t.Errorf("%v, %v; want 2", got, err)
	}
	for _, bad := range []string{"", "Name:\tkthreadd\n", "VmRSS:\tmuch\n"} {
		if _, err := parseResident(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseIperf(t *testing.T) {
	good := `{"intervals": [{"sum": {"bytes": 1000, "omitted": true}}, {"sum": {"bytes": 2000}}],
		"end": {"sum_sent": {"bits_per_second": 17000}, "sum_received": {"bits_per_second": 16000}}}`
	speed, bytes, err := parseIperf([]byte(good))
	if err != nil || speed != 16000 || bytes != 3000 {
		t.Errorf("%v bit/s, %v octets, %v; want 16000 and 3000", speed, bytes, err)
	}
	for name, bad := range map[string]string{
		"no JSON":          "iperf3: error",
		"an error":         `{"intervals": [{"sum": {"bytes": 1}}], "end": {"sum_received": {"bits_per_second": 1}}, "error": "refused"}`,
		"nothing":          `{}`,
		"nothing received": `{"intervals": [{"sum": {"bytes": 1000}}], "end": {"sum_received": {"bits_per_second": 0}}}`,
	} {
		if _, _, err := parseIperf([]byte(bad)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParseCounter(t *testing.T) {
	text := `{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"counter": {"family": "netdev", "name": "hits", "packets": 12, "bytes": 552}}]}`
	if got, err := parseCounter([]byte(text)); err != nil || got != 12 {
		t.Errorf("%v, %v; want 12", got, err)
	}
	for _, bad := range []string{"", `{"nftables": [{"metainfo": {}}]}`} {
		if _, err := parseCounter([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseDump(t *testing.T) {
	text := "listening on tap0, link-type EN10MB\n" +
		"1700000000.000100 IP 0.0.0.0.68 > 255.255.255.255.67: BOOTP/DHCP, Request\n" +
		"1700000000.000200 IP 169.254.75.10.67 > 10.244.1.7.68: BOOTP/DHCP, Reply\n" +
		"1700000000.030000 IP 0.0.0.0.68 > 255.255.255.255.67: BOOTP/DHCP, Request\n"
	if _, err := parseDump(text); err == nil {
		t.Error("three packets: no error")
	}
	times, err := parseDump(text + "1700000001.000000 IP 169.254.75.10.67 > 10.244.1.7.68: BOOTP/DHCP, Reply\n")
	if err != nil || times[3].Sub(times[0]) != 999900*time.Microsecond {
		t.Errorf("%v, %v; want 999.9 ms from the first to the last", times, err)
	}
	if _, err := parseDump("soon IP BOOTP/DHCP\n"); err == nil {
		t.Error("no time: no error")
	}
}

func TestOnly(t *testing.T) {
	got, err := only[struct{ Lladdr string }](`[{"dst": "10.0.0.1", "lladdr": "02:00:00:00:00:01", "state": ["REACHABLE"]}]`, nil)
	if err != nil || got.Lladdr != "02:00:00:00:00:01" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "[]", "[{},{}]"} {
		if _, err := only[struct{ Lladdr string }](bad, nil); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestEnd(t *testing.T) {
	for _, test := range []struct{ text, want string }{{"a\nb\nc\n", "b\nc"}, {"a\n", "a"}, {"", ""}} {
		if got := end(test.text, 2); got != test.want {
			t.Errorf("end(%q, 2) = %q, want %q", test.text, got, test.want)
		}
	}
}

func TestProcessor(t *testing.T) {
	if got := processor("processor\t: 0\nmodel name\t: A CPU: fast\n"); got != "A CPU: fast" {
		t.Errorf("%q", got)
	}
	if got := processor(""); got != "an unknown processor" {
		t.Errorf("%q", got)
	}
}
