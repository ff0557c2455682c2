package vswitch_test

import (
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// A load is a batch that enters a forwarder repeatedly, for allocation tests and benchmarks.
type load struct {
	forwarder vswitch.Forwarder
	in        int
	frames    []vswitch.Frame // as they enter
	batch     []vswitch.Frame // as the forwarder gets them
	out       *vswitch.Out
	now       time.Duration
	sent      int
	transmit  func(int, []vswitch.Frame)
}

// newLoad fills a batch with the given frames in turn.
func newLoad(f vswitch.Forwarder, ports, in int, frames ...vswitch.Frame) *load {
	l := &load{forwarder: f, in: in, out: vswitch.NewOut(ports, new(vswitch.Counters)), now: time.Second}
	for i := range vswitch.BatchSize {
		l.frames = append(l.frames, frames[i%len(frames)])
		data := make([]byte, len(frames[i%len(frames)].Data))
		l.batch = append(l.batch, vswitch.Frame{Data: data})
	}
	l.transmit = func(_ int, frames []vswitch.Frame) { l.sent += len(frames) }
	l.run() // once, so that slices have their size
	return l
}

// run forwards the batch once. It restores the headers of each frame first, which are all that a forwarder changes.
func (l *load) run() {
	for i := range l.batch {
		b := &l.batch[i]
		b.Offload = l.frames[i].Offload
		b.Data = b.Data[:cap(b.Data)]
		copy(b.Data[:min(len(b.Data), 128)], l.frames[i].Data)
	}
	l.forwarder.Forward(l.in, l.batch, l.now, l.out)
	l.out.Flush(l.transmit)
}

const (
	small    = "ip 10.244.1.7 > 10.0.0.1 df tcp 1000 > 80 ack"
	segments = "ip 10.244.1.7 > 10.0.0.1 df tcp 1000 > 80 ack data 60000 gso tcp4 1398"
	syn      = "ip 10.244.1.7 > 10.0.0.1 df tcp 1000 > 80 syn mss 1460"

	small6    = "ip6 fd00:10:244:1::7 > 2001:db8::1 tcp 1000 > 80 ack"
	segments6 = "ip6 fd00:10:244:1::7 > 2001:db8::1 tcp 1000 > 80 ack data 60000 gso tcp6 1378"
	syn6      = "ip6 fd00:10:244:1::7 > 2001:db8::1 tcp 1000 > 80 syn mss 1440"
)

// A delegateLoad has a resolved gateway and a guest that holds the address.
func delegateLoad(t testing.TB, in int, line string) *load {
	s, err := parseScript("load", "# Load.\ndelegate\nipv6\nadvertisement\npermanent 10.244.1.1 gw\npermanent fd00:10:244:1::1 gw\nkeep 8080\n+0 tick\n")
	if err != nil {
		t.Fatal(err)
	}
	d := vswitch.NewDelegate(s.delegate)
	d.IPv4.SetHolder(vswitch.HolderGuest, s.names["guest"])
	d.IPv6.SetHolder(vswitch.HolderGuest, s.names["guest"])
	w := newWords(line, s.names)
	f := w.frame()
	if err := w.end(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return newLoad(d, 4, in, f)
}

// bridgeLoad returns a load for a bridge with the given numbers of ports and known stations. The frames go from port 0 to port 1.
func bridgeLoad(t testing.TB, ports, stations int, line string) *load {
	b := vswitch.NewBridge(vswitch.BridgeConfig{
		Ports: ports, Ageing: 300 * time.Second, Limit: stations, MaxFrame: 1514, Upstream: -1,
	})
	b.SetStatic(vswitch.MAC{2, 0, 0, 0, 0, 2}, 1, 0)
	b.SetStatic(vswitch.MAC{2, 0, 0, 0, 0, 1}, 0, 0)
	for i := range stations - 2 {
		b.SetStatic(vswitch.MAC{2, 1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}, 1, 0)
	}
	w := newWords(line, nil)
	f := w.frame()
	if err := w.end(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return newLoad(b, ports, 0, f)
}

// Frames of the common kinds cause no allocation, in both forwarders and directions.
func TestAllocations(t *testing.T) {
	for name, l := range map[string]*load{
		"bridge, known":              bridgeLoad(t, 3, 2, "02:..:01 > 02:..:02 "+small),
		"bridge, segments":           bridgeLoad(t, 3, 2, "02:..:01 > 02:..:02 "+segments),
		"bridge, unknown":            bridgeLoad(t, 3, 2, "02:..:01 > 02:..:03 "+small),
		"bridge, broadcast":          bridgeLoad(t, 3, 2, "02:..:01 > ff:ff:ff:ff:ff:ff "+small),
		"bridge, full table":         bridgeLoad(t, 3, 100, "02:..:99 > 02:..:02 "+small),
		"bridge, dropped":            bridgeLoad(t, 3, 2, "02:..:01 > 01:80:c2:00:00:00 lldp"),
		"guest to wire":              delegateLoad(t, vswitch.PortGuest, "guest > router "+small),
		"guest to wire, segments":    delegateLoad(t, vswitch.PortGuest, "guest > router "+segments),
		"guest to wire, clamped":     delegateLoad(t, vswitch.PortGuest, "guest > router "+syn),
		"guest to wire, multicast":   delegateLoad(t, vswitch.PortGuest, "guest > router ip 10.244.1.7 > 224.0.0.251 udp 5353 > 5353 data 50"),
		"guest, ARP":                 delegateLoad(t, vswitch.PortGuest, "guest > broadcast arp who-has 10.244.1.1 tell 10.244.1.7"),
		"guest, too big":             delegateLoad(t, vswitch.PortGuest, "guest > router ip 10.244.1.7 > 10.0.0.1 df udp 1 > 2 data 1500"),
		"guest, spoofed":             delegateLoad(t, vswitch.PortGuest, "guest > router ip 10.244.1.8 > 10.0.0.1 udp 1 > 2"),
		"guest to server":            delegateLoad(t, vswitch.PortGuest, "guest > router ip 10.244.1.7 > 169.254.75.1 udp 1 > 53 data 40"),
		"wire to guest":              delegateLoad(t, vswitch.PortUplink, "gw > wire ip 10.0.0.1 > 10.244.1.7 df tcp 80 > 1000 ack"),
		"wire to guest, segments":    delegateLoad(t, vswitch.PortUplink, "gw > wire ip 10.0.0.1 > 10.244.1.7 df tcp 80 > 1000 ack data 60000 gso tcp4 1398"),
		"wire to guest, broadcast":   delegateLoad(t, vswitch.PortUplink, "gw > broadcast ip 10.244.1.1 > 255.255.255.255 udp 1 > 2"),
		"wire to pod":                delegateLoad(t, vswitch.PortUplink, "gw > wire ip 10.0.0.1 > 10.244.1.7 df tcp 999 > 8080 ack"),
		"wire, ARP for the address":  delegateLoad(t, vswitch.PortUplink, "gw > broadcast arp who-has 10.244.1.7 tell 10.244.1.1"),
		"wire, ARP of others":        delegateLoad(t, vswitch.PortUplink, "peer > broadcast arp who-has 10.244.1.1 tell 10.244.1.9"),
		"wire, reflected":            delegateLoad(t, vswitch.PortUplink, "wire > broadcast arp who-has 10.244.1.1 tell 10.244.1.7"),
		"pod to wire":                delegateLoad(t, vswitch.PortPod, "wire > gw ip 10.244.1.7 > 10.0.0.1 df tcp 8080 > 999 ack"),
		"IPv6, guest to wire":        delegateLoad(t, vswitch.PortGuest, "guest > router "+small6),
		"IPv6, segments":             delegateLoad(t, vswitch.PortGuest, "guest > router "+segments6),
		"IPv6, clamped":              delegateLoad(t, vswitch.PortGuest, "guest > router "+syn6),
		"IPv6, extension headers":    delegateLoad(t, vswitch.PortGuest, "guest > router ip6 fd00:10:244:1::7 > 2001:db8::1 ext 60 010400000000 udp 1 > 2"),
		"IPv6, too big":              delegateLoad(t, vswitch.PortGuest, "guest > router ip6 fd00:10:244:1::7 > 2001:db8::1 udp 1 > 2 data 1500"),
		"IPv6, spoofed":              delegateLoad(t, vswitch.PortGuest, "guest > router ip6 fd00:10:244:1::8 > 2001:db8::1 udp 1 > 2"),
		"IPv6, the guest solicits":   delegateLoad(t, vswitch.PortGuest, "guest > 33:33:ff:00:00:09 ip6 fe80::1 > ff02::1:ff00:9 icmp6 ns fd00:10:244:1::9 link guest"),
		"IPv6, the guest asks":       delegateLoad(t, vswitch.PortGuest, "guest > 33:33:00:00:00:02 ip6 fe80::1 > ff02::2 icmp6 rs link guest"),
		"IPv6, wire to guest":        delegateLoad(t, vswitch.PortUplink, "gw > wire ip6 2001:db8::1 > fd00:10:244:1::7 tcp 80 > 1000 ack"),
		"IPv6, wire to pod":          delegateLoad(t, vswitch.PortUplink, "gw > wire ip6 2001:db8::1 > fd00:10:244:1::7 tcp 999 > 8080 ack"),
		"IPv6, the wire solicits":    delegateLoad(t, vswitch.PortUplink, "gw > 33:33:ff:00:00:07 ip6 fd00:10:244:1::1 > ff02::1:ff00:7 icmp6 ns fd00:10:244:1::7 link gw"),
		"IPv6, the wire's neighbour": delegateLoad(t, vswitch.PortUplink, "peer > 33:33:00:00:00:01 ip6 fd00:10:244:1::9 > ff02::1 icmp6 na fd00:10:244:1::9 override link peer"),
		"server to guest":            delegateLoad(t, vswitch.PortServer, "router > guest ip 169.254.75.1 > 10.244.1.7 udp 53 > 1 data 40"),
	} {
		if n := testing.AllocsPerRun(20, l.run); n != 0 {
			t.Errorf("%s: %v allocations for %d frames, want none", name, n, vswitch.BatchSize)
		}
	}
}
