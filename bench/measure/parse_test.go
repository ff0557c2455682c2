package main

import (
	"slices"
	"testing"
	"time"
)

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

func TestParseLeases(t *testing.T) {
	got, err := parseLeases([]byte(`{"rounds": 20, "lost": 0, "first": 900.5, "median": 400, "min": 300, "max": 1200}`))
	if want := (leaseReport{Rounds: 20, First: 900.5, Median: 400, Max: 1200}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "load: no answer", "{}", `{"rounds": 19, "lost": 1, "first": 900.5, "median": 400}`} {
		if _, err := parseLeases([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
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

func TestControlled(t *testing.T) {
	routes := "default via 10.244.1.1 dev eth0 congctl bbr \n10.244.1.0/24 dev eth0 proto kernel scope link src 10.244.1.7 linkdown \n"
	want := []string{
		"route change default via 10.244.1.1 dev eth0 congctl cubic",
		"route change 10.244.1.0/24 dev eth0 proto kernel scope link src 10.244.1.7 congctl cubic",
	}
	if got := controlled(routes, "cubic"); !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
	if got := controlled("", "cubic"); len(got) > 0 {
		t.Errorf("no routes: %q", got)
	}
}
