package vswitch_test

import (
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// TestOffenders checks which value a dropped frame leaves at the port where it entered.
func TestOffenders(t *testing.T) {
	const guestPort, wirePort = vswitch.PortGuest, vswitch.PortUplink
	for name, c := range map[string]struct {
		config string
		port   int
		frame  string
		reason vswitch.Reason
		want   string // empty: none
	}{
		"a foreign address":            {"", guestPort, "guest > router ip 10.244.1.99 > 10.0.0.1 udp 1 > 2", vswitch.ForeignSource, "10.244.1.99"},
		"no address yet":               {"", guestPort, "guest > 01:00:5e:00:00:16 ip 0.0.0.0 > 224.0.0.22 udp 1 > 2", vswitch.ForeignSource, ""},
		"a foreign MAC":                {"pinned-mac guest", guestPort, "02:..:02 > router ip 10.244.1.7 > 10.0.0.1 udp 1 > 2", vswitch.ForeignMAC, "02:00:00:00:00:02"},
		"a tag":                        {"", guestPort, "guest > router vlan 5 ip 10.244.1.7 > 10.0.0.1 udp 1 > 2", vswitch.VLAN, "5"},
		"a kept port":                  {"keep 8080", guestPort, "guest > router ip 10.244.1.7 > 10.0.0.1 tcp 8080 > 80 ack", vswitch.KeptPort, "8080"},
		"a denied destination":         {"deny 10.9.0.0/16", guestPort, "guest > router ip 10.244.1.7 > 10.9.1.2 udp 1 > 2", vswitch.Denied, "10.9.1.2"},
		"a host with the pod address":  {"", wirePort, "02:..:08 > broadcast arp who-has 10.244.1.7 tell 10.244.1.7", vswitch.ForeignARP, "02:00:00:00:00:08"},
		"packets with the pod address": {"", wirePort, "02:..:08 > wire ip 10.244.1.7 > 10.244.1.7 udp 1 > 2", vswitch.ForeignSource, "02:00:00:00:00:08"},
		"a foreign IPv6 address":       {"ipv6", guestPort, "guest > router ip6 fd00:10:244:1::99 > 2001:db8::1 udp 1 > 2", vswitch.ForeignSource, "fd00:10:244:1::99"},
		"no IPv6 address yet":          {"ipv6", guestPort, "guest > 33:33:00:00:00:fb ip6 :: > ff02::fb udp 1 > 2", vswitch.ForeignSource, ""},
		"no IPv6 route":                {"ipv6\nroute 2001:db8::/32", guestPort, "guest > router ip6 fd00:10:244:1::7 > 2001:4860::1 udp 1 > 2", vswitch.NoRoute, "2001:4860::1"},
		"a denied IPv6 destination":    {"ipv6\ndeny 2001:db8::/32", guestPort, "guest > router ip6 fd00:10:244:1::7 > 2001:db8::1 udp 1 > 2", vswitch.Denied, "2001:db8::1"},
		"a host with the IPv6 address": {"ipv6", wirePort, "02:..:08 > 33:33:00:00:00:01 ip6 fd00:10:244:1::7 > ff02::1 icmp6 na fd00:10:244:1::7 override link 02:..:08", vswitch.ForeignND, "02:00:00:00:00:08"},
		"packets with the address":     {"ipv6", wirePort, "02:..:08 > wire ip6 fd00:10:244:1::7 > fd00:10:244:1::7 udp 1 > 2", vswitch.ForeignSource, "02:00:00:00:00:08"},
		"an advertisement of another":  {"ipv6", wirePort, "02:..:08 > 33:33:00:00:00:01 ip6 fd00:10:244:1::8 > ff02::1 icmp6 na fd00:10:244:1::8 override link 02:..:08", vswitch.ForeignND, ""},
		"a neighbour":                  {"", wirePort, "02:..:08 > broadcast arp who-has 10.244.1.7 tell 10.244.1.8", vswitch.ForeignARP, ""},
		"what passes has none":         {"", guestPort, "guest > router ip 10.244.1.7 > 10.0.0.1 udp 1 > 2", vswitch.ForeignSource, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := scriptOf(t, "delegate\n"+c.config)
			r := newRun(s)
			w := newWords(c.frame, s.names)
			f := w.frame()
			if err := w.end(); err != nil {
				t.Fatal(err)
			}
			r.input(c.port, f, time.Second)
			for range 2 { // the second time, the first one has taken it
				got, ok := r.counters[c.port].TakeOffender(c.reason)
				if ok != (c.want != "") || ok && got.String() != c.want {
					t.Errorf("offender %v, %t; want %q", got, ok, c.want)
				}
				c.want = ""
			}
		})
	}
}

// TestUnresolvedOffender checks that a next hop that does not answer is named at the port of the frame that waited.
func TestUnresolvedOffender(t *testing.T) {
	s := scriptOf(t, "delegate")
	r := newRun(s)
	r.input(vswitch.PortGuest, newWords("guest > router ip 10.244.1.7 > 10.244.1.77 udp 1 > 2", s.names).frame(), 0)
	for i := range 5 {
		r.forwarder.Tick(time.Duration(i)*time.Second, r.ticks)
	}
	if got, ok := r.counters[vswitch.PortGuest].TakeOffender(vswitch.Unresolved); !ok || got.String() != "10.244.1.77" {
		t.Errorf("offender %v, %t", got, ok)
	}
}
