package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

func TestParseArrivals(t *testing.T) {
	const names = "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n"
	for name, test := range map[string]struct {
		text string
		want arrivals
		bad  bool
	}{
		"fresh":              {text: names + "Udp: 0 0 0 0 0 0 0 0 0\n"},
		"read":               {text: names + "Udp: 5 0 0 0 0 0 0 0 0\n", want: arrivals{datagrams: 5}},
		"refused":            {text: names + "Udp: 5 9 40 1 0 0 0 0 0\n", want: arrivals{datagrams: 45}},
		"wrong checksums":    {text: names + "Udp: 5 9 40 1 0 0 3 0 0\n", want: arrivals{datagrams: 42, wrong: 3}},
		"beyond 32 bits":     {text: names + "Udp: 0 0 9000000000 1 0 0 0 0 0\n", want: arrivals{datagrams: 9_000_000_000}},
		"others beside it":   {text: "Ip: A B\nIp: 1 -1\n" + names + "Udp: 1 2 3 4 5 6 0 8 9\nUdpLite: InErrors\nUdpLite: 7\n", want: arrivals{datagrams: 4}},
		"other order":        {text: "Udp: InCsumErrors InErrors InDatagrams\nUdp: 1 3 10\n", want: arrivals{datagrams: 12, wrong: 1}},
		"a value below 0":    {text: "Udp: InErrors Limit InDatagrams InCsumErrors\nUdp: 1 -1 2 0\n", want: arrivals{datagrams: 3}},
		"nothing":            {bad: true},
		"UdpLite alone":      {text: "UdpLite: InErrors\nUdpLite: 7\n", bad: true},
		"names alone":        {text: names, bad: true},
		"a value is missing": {text: names + "Udp: 5 9 40 1 0 0 0 0\n", bad: true},
		"no InCsumErrors":    {text: "Udp: InDatagrams InErrors\nUdp: 5 9\n", bad: true},
		"no number":          {text: "Udp: InDatagrams InErrors InCsumErrors\nUdp: 5 x 0\n", bad: true},
	} {
		if got, err := parseArrivals(test.text); got != test.want || (err != nil) != test.bad {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, test.want)
		}
	}
}

func TestParseArrivalsIPv6(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want arrivals
		bad  bool
	}{
		"refused":         {text: "Ip6InReceives  \t9\nUdp6InDatagrams  \t5\nUdp6NoPorts \t7\nUdp6InErrors  \t40\nUdp6InCsumErrors  \t3\n", want: arrivals{datagrams: 42, wrong: 3}},
		"a value below 0": {text: "Ip6Limit -1\nUdp6InDatagrams 5\nUdp6InErrors 0\nUdp6InCsumErrors 0\n", want: arrivals{datagrams: 5}},
		"nothing":         {bad: true},
		"UdpLite alone":   {text: "UdpLite6InDatagrams 5\nUdpLite6InErrors 0\nUdpLite6InCsumErrors 0\n", bad: true},
		"no InCsumErrors": {text: "Udp6InDatagrams 5\nUdp6InErrors 0\n", bad: true},
	} {
		if got, err := parseArrivals6(test.text); got != test.want || (err != nil) != test.bad {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, test.want)
		}
	}
}

// TestArrivalsOfANamespace checks that arrivals reads the counters of its namespace, and not those of another one.
func TestArrivalsOfANamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip(&missing.Error{What: "count in a namespace", Need: "root", Give: "a network namespace is made"})
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip(&missing.Error{What: "count in a namespace", Need: "ip", Give: "run make setup"})
	}
	ctx := t.Context()
	n := namespace(fmt.Sprintf("pswbtest%d", os.Getpid()))
	if _, err := host(ctx, "ip netns add "+string(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := host(context.Background(), "ip netns del "+string(n)); err != nil {
			t.Error(err)
		}
	})
	if err := n.ip(ctx, "link set lo up"); err != nil {
		t.Fatal(err)
	}
	check := func(want arrivals) {
		t.Helper()
		if got, err := n.arrivals(false); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	check(arrivals{})
	if err := n.within(func() error { return toItself(3) }); err != nil {
		t.Fatal(err)
	}
	check(arrivals{datagrams: 3})
	if _, err := (n + "-gone").arrivals(false); err == nil || !strings.Contains(err.Error(), string(n)+"-gone") {
		t.Errorf("no such namespace: %v, want its name", err)
	}
}

// toItself sends datagrams from a socket to itself, and reads them.
func toItself(datagrams int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	for range datagrams {
		if err := unix.Sendto(fd, []byte("datagram"), 0, own); err != nil {
			return err
		}
		if _, _, err := unix.Recvfrom(fd, make([]byte, 16), 0); err != nil {
			return err
		}
	}
	return nil
}
