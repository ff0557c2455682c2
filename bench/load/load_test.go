package main

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSummary(t *testing.T) {
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i)*time.Microsecond)
	}
	got, err := summary(times, 3, 2*time.Second)
	want := report{Requests: 100, Lost: 3, Seconds: 2, P50: 50, P99: 99}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if _, err := summary(nil, 3, time.Second); !errors.Is(err, errLost) {
		t.Errorf("nothing was answered: %v", err)
	}
}

func TestPercentile(t *testing.T) {
	for _, test := range []struct {
		times []time.Duration
		p     int
		want  time.Duration
	}{
		{[]time.Duration{7}, 50, 7},
		{[]time.Duration{7}, 99, 7},
		{[]time.Duration{1, 2}, 50, 1},
		{[]time.Duration{1, 2, 3}, 50, 2},
		{[]time.Duration{1, 2, 3}, 99, 3},
		{[]time.Duration{1, 2, 3}, 0, 1},
	} {
		if got := percentile(test.times, test.p); got != test.want {
			t.Errorf("percentile(%v, %d) = %d, want %d", test.times, test.p, got, test.want)
		}
	}
}

func TestMeasureStopsAtAFault(t *testing.T) {
	fault := errors.New("refused")
	if _, err := measure(func() error { return fault }, time.Minute); !errors.Is(err, fault) {
		t.Errorf("%v, want the fault", err)
	}
}

// TestLoads makes each kind of request to the server on loopback, over each family.
func TestLoads(t *testing.T) {
	for _, own := range []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("[::1]:0")} {
		listener, err := bind(unix.SOCK_STREAM, own)
		if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
			t.Skipf("needs IPv6 on loopback: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		socket, err := bind(unix.SOCK_DGRAM, own)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = accept(listener) }()
		go func() { _ = echoDatagrams(socket) }()
		for verb, fd := range map[string]int{"tcp": listener, "connect": listener, "udp": socket} {
			once, done, err := requester(verb, bound(t, own, fd))
			if err != nil {
				t.Fatal(err)
			}
			got, err := measure(once, 20*time.Millisecond)
			done()
			if err != nil || got.Requests == 0 || got.Lost != 0 || got.P99 < got.P50 || got.P50 <= 0 {
				t.Errorf("%s, %s: %+v, %v", own, verb, got, err)
			}
		}
		if err := await(bound(t, own, listener), time.Second); err != nil {
			t.Error(err)
		}
	}
}

// bound returns the address of a socket that is bound to own.
func bound(t *testing.T, own netip.AddrPort, fd int) netip.AddrPort {
	t.Helper()
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(own.Addr(), uint16(name.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(own.Addr(), uint16(name.Port))
	}
	t.Fatalf("%T", name)
	return own
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"serve", "x"}, {"serve", "0.0.0.0:70000"}, {"refuse", "5204"}, {"tcp", "host:1", "1"}, {"tcp", "::1:1", "1"},
		{"tcp", "127.0.0.1:1", "0"}, {"shout", "127.0.0.1:1", "1"},
		{"lease", "lo", "0"}, {"lease", "lo", "many"}, {"lease", "lo"}, {"lease", "nonexistent", "1"}} {
		if err := run(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
