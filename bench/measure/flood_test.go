package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestDescription(t *testing.T) {
	link := ends{from: "10.0.0.1", to: "10.0.0.2", mac: "02:00:00:00:00:01", hop: "02:00:00:00:00:02"}
	for _, flows := range []int{1, 64} {
		lines := strings.Split(strings.TrimSuffix(description(link, false, flows), "\n"), "\n")
		if len(lines) != descriptions {
			t.Fatalf("%d flows: %d packets, want %d", flows, len(lines), descriptions)
		}
		sent := map[int]int{}
		for i, line := range lines {
			port := floodPort + i%flows
			sent[port]++
			want := fmt.Sprintf("{ eth(da=02:00:00:00:00:02, sa=02:00:00:00:00:01), ipv4(id=%d, df, ttl=64, sa=10.0.0.1, da=10.0.0.2), "+
				"udp(sp=%d, dp=5204), fill(0, 18) }", sent[port], port)
			if line != want {
				t.Fatalf("%d flows, packet %d:\n%s, want\n%s", flows, i, line, want)
			}
		}
		if len(sent) != flows || sent[floodPort] != descriptions/flows {
			t.Errorf("%d flows: %d source ports, %d packets from the first, want %d", flows, len(sent), sent[floodPort], descriptions/flows)
		}
	}
}

// TestDescriptionIPv6 has the same datagrams over IPv6, which has no identification.
func TestDescriptionIPv6(t *testing.T) {
	link := ends{from: "fd00::1", to: "fd00::2", mac: "02:00:00:00:00:01", hop: "02:00:00:00:00:02"}
	first, _, _ := strings.Cut(description(link, true, 1), "\n")
	want := "{ eth(da=02:00:00:00:00:02, sa=02:00:00:00:00:01), ipv6(hoplimit=64, sa=fd00::1, da=fd00::2), udp(sp=5204, dp=5204), fill(0, 18) }"
	if first != want {
		t.Errorf("%s, want\n%s", first, want)
	}
}

func TestFloodReading(t *testing.T) {
	begin := time.Now()
	from := snapshot{arrivals: arrivals{datagrams: 1000, wrong: 7}, cpu: 1, at: begin}
	for name, test := range map[string]struct {
		got        arrivals
		value, cpu float64 // 0: an error
	}{
		"delivered":            {arrivals{datagrams: 1_001_000, wrong: 7}, 500, 3},
		"nothing more":         {arrivals{datagrams: 1000, wrong: 7}, 0, 0},
		"one wrong checksum":   {arrivals{datagrams: 1_001_000, wrong: 8}, 0, 0},
		"a counter goes back":  {arrivals{datagrams: 10, wrong: 7}, 0, 0},
		"wrong checksums only": {arrivals{datagrams: 1000, wrong: 900}, 0, 0},
	} {
		readings, err := floodReading(figure{Name: "packets"}, from, snapshot{arrivals: test.got, cpu: 4, at: begin.Add(2 * time.Second)})
		switch {
		case test.value == 0 && err == nil:
			t.Errorf("%s: %+v, want an error", name, readings)
		case test.value == 0:
		case err != nil || len(readings) != 1 || readings[0].figure.Name != "packets" ||
			math.Abs(readings[0].value-test.value) > 1e-6 || math.Abs(readings[0].cpu-test.cpu) > 1e-6:
			t.Errorf("%s: %+v, %v; want %v kpps and %v s", name, readings, err, test.value, test.cpu)
		}
	}
}

func TestFloodFigures(t *testing.T) {
	for flows, want := range map[int]string{1: "64-byte packets out, 1 flow", 64: "64-byte packets out, 64 flows"} {
		if f := floodFigure(ways[0], flows); f.Name != want || f.Note == "" {
			t.Errorf("%+v, want the name %q and a note", f, want)
		}
	}
}
