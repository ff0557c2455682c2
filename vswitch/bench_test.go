package vswitch_test

import (
	"fmt"
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

// Benchmarks of the forwarders without ports. ns/op is the time for one frame, including about a nanosecond for restoring its headers.

func measure(b *testing.B, l *load) {
	b.SetBytes(int64(len(l.frames[0].Data)))
	b.ReportAllocs()
	for n := 0; n < b.N; n += vswitch.BatchSize {
		l.run()
	}
}

// BenchmarkBridge measures unicast frames by the number of stations and of idle ports, floods by the number of ports, and frames of a
// station that a full table has no room for.
func BenchmarkBridge(b *testing.B) {
	for _, stations := range []int{2, 256, 4096, 65536} {
		b.Run(fmt.Sprintf("known/stations=%d", stations), func(b *testing.B) {
			measure(b, bridgeLoad(b, 2, stations, "02:..:01 > 02:..:02 "+small))
		})
	}
	for _, ports := range []int{2, 8, 64} {
		b.Run(fmt.Sprintf("known/ports=%d", ports), func(b *testing.B) {
			measure(b, bridgeLoad(b, ports, 256, "02:..:01 > 02:..:02 "+small))
		})
		b.Run(fmt.Sprintf("flood/ports=%d", ports), func(b *testing.B) {
			measure(b, bridgeLoad(b, ports, 256, "02:..:01 > 02:..:03 "+small))
		})
	}
	b.Run("segments", func(b *testing.B) { measure(b, bridgeLoad(b, 2, 256, "02:..:01 > 02:..:02 "+segments)) })
	b.Run("known-ipv6/ports=2", func(b *testing.B) { measure(b, bridgeLoad(b, 2, 256, "02:..:01 > 02:..:02 "+small6)) })
	b.Run("segments-ipv6", func(b *testing.B) { measure(b, bridgeLoad(b, 2, 256, "02:..:01 > 02:..:02 "+segments6)) })
	for _, stations := range []int{256, 4096, 65536} {
		b.Run(fmt.Sprintf("full/stations=%d", stations), func(b *testing.B) {
			measure(b, bridgeLoad(b, 2, stations, "02:..:99 > 02:..:02 "+small))
		})
	}
}

// BenchmarkDelegate is IP mode in both directions.
func BenchmarkDelegate(b *testing.B) {
	for _, test := range []struct {
		name string
		in   int
		line string
	}{
		{"guest-wire/small", vswitch.PortGuest, "guest > router " + small},
		{"guest-wire/segments", vswitch.PortGuest, "guest > router " + segments},
		{"guest-wire/syn", vswitch.PortGuest, "guest > router " + syn},
		{"guest-wire/too-big", vswitch.PortGuest, "guest > router ip 10.244.1.7 > 10.0.0.1 df udp 1 > 2 data 1500"},
		{"guest-wire/fragments", vswitch.PortGuest, "guest > router ip 10.244.1.7 > 10.0.0.1 udp 1 > 2 data 1500"},
		{"wire-guest/small", vswitch.PortUplink, "gw > wire ip 10.0.0.1 > 10.244.1.7 df tcp 80 > 1000 ack"},
		{"wire-guest/segments", vswitch.PortUplink, "gw > wire ip 10.0.0.1 > 10.244.1.7 df tcp 80 > 1000 ack data 60000 gso tcp4 1398"},
		{"guest-wire-ipv6/small", vswitch.PortGuest, "guest > router " + small6},
		{"guest-wire-ipv6/segments", vswitch.PortGuest, "guest > router " + segments6},
		{"guest-wire-ipv6/syn", vswitch.PortGuest, "guest > router " + syn6},
		{"guest-wire-ipv6/too-big", vswitch.PortGuest, "guest > router ip6 fd00:10:244:1::7 > 2001:db8::1 udp 1 > 2 data 1500"},
		{"wire-guest-ipv6/small", vswitch.PortUplink, "gw > wire ip6 2001:db8::1 > fd00:10:244:1::7 tcp 80 > 1000 ack"},
		{"wire-guest-ipv6/segments", vswitch.PortUplink, "gw > wire ip6 2001:db8::1 > fd00:10:244:1::7 tcp 80 > 1000 ack data 60000 gso tcp6 1378"},
		{"guest-solicits", vswitch.PortGuest, "guest > 33:33:ff:00:00:09 ip6 fe80::1 > ff02::1:ff00:9 icmp6 ns fd00:10:244:1::9 link guest"},
		{"guest-arp", vswitch.PortGuest, "guest > broadcast arp who-has 10.244.1.1 tell 10.244.1.7"},
	} {
		b.Run(test.name, func(b *testing.B) { measure(b, delegateLoad(b, test.in, test.line)) })
	}
}

// BenchmarkDelegateNeighbours measures frames by the number of neighbours.
func BenchmarkDelegateNeighbours(b *testing.B) {
	for _, n := range []int{1, 64, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			script := "# Load.\ndelegate\nroute 10.0.0.0/8\n"
			for i := range n {
				script += fmt.Sprintf("permanent 10.9.%d.%d gw\n", i/250, i%250+1)
			}
			s, err := parseScript("load", script+"+0 tick\n")
			if err != nil {
				b.Fatal(err)
			}
			d := vswitch.NewDelegate(s.delegate)
			d.IPv4.SetHolder(vswitch.HolderGuest, s.names["guest"])
			var frames []vswitch.Frame
			for i := range min(n, vswitch.BatchSize) {
				w := newWords(fmt.Sprintf("guest > router ip 10.244.1.7 > 10.9.0.%d df tcp 1000 > 80 ack", i+1), s.names)
				frames = append(frames, w.frame())
			}
			measure(b, newLoad(d, 4, vswitch.PortGuest, frames...))
		})
	}
}
