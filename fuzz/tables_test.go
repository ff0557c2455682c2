package fuzz

import (
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// tables are seeds for states of a Bridge.
var tables = []seed{
	{"stations are learned, age, move and are removed", func(w *writer) {
		ab := vswitch.Frame{Data: append(ethernet(otherMAC, guestMAC, 0x88b5), 1)}
		ba := vswitch.Frame{Data: append(ethernet(guestMAC, otherMAC, 0x88b5), 2)}
		for _, pause := range []time.Duration{0, 999 * time.Millisecond, time.Second, 59 * time.Second, time.Minute, 299 * time.Second, 300 * time.Second} {
			w.wait(pause)
			w.raw(0, 1, ab)
			w.raw(1, 2, ba)
			w.raw(1, 1, ab)
			w.raw(2, 1, ba)
			w.raw(0, 1, vswitch.Frame{Data: append(ethernet(guestMAC, guestMAC, 0x88b5), 3)})
		}
		w.forget(1)
		w.raw(0, 1, ab)
		w.wait(time.Hour)
		w.tick()
		w.raw(0, 1, ab)
	}},
	{"ports of a loop are blocked, for every pair of ports", func(w *writer) {
		for round := range 18 {
			port, by := round%3, round/3%3
			w.raw(port, 1, vswitch.Frame{Data: append(ethernet(peerMAC, otherMAC, 0x88b5), 1)})
			w.raw(port, 1, probe(by))
			for _, to := range []vswitch.MAC{guestMAC, otherMAC, vswitch.Broadcast} {
				w.raw((port+1)%3, 1, vswitch.Frame{Data: append(ethernet(to, peerMAC, 0x88b5), 1)})
			}
			w.tick()
			w.wait(time.Duration(round) * 500 * time.Millisecond)
		}
		w.raw(1, 1, vswitch.Frame{Data: probe(0).Data[:59]})
		for at := range 32 {
			wrong := probe(0)
			wrong.Data[at]++
			w.raw(1, 1, wrong)
			w.wait(11 * time.Second)
		}
	}},
	{"static stations do not age or move and are not reflected", func(w *writer) {
		w.static(1, guestMAC)
		w.static(-1, otherMAC)
		w.static(0, noMAC)
		for port := range 3 {
			w.raw(port, 1, vswitch.Frame{Data: append(ethernet(otherMAC, guestMAC, 0x88b5), 1)})
			w.raw(port, 1, vswitch.Frame{Data: append(ethernet(guestMAC, otherMAC, 0x88b5), 1)})
		}
		w.wait(time.Hour)
		w.raw(0, 1, vswitch.Frame{Data: append(ethernet(guestMAC, peerMAC, 0x88b5), 1)})
		w.forget(1)
	}},
	{"a full table learns no station until others have aged, and is searched once a second", func(w *writer) {
		w.scan(0, 100, 0)
		w.wait(400 * time.Millisecond)
		w.scan(1, 60, 50)
		w.wait(100 * time.Millisecond)
		w.scan(1, 20, 200)
		w.wait(time.Second)
		w.scan(0, 20, 220)
		w.static(0, peerMAC)
		w.wait(61 * time.Second)
		w.scan(1, 20, 300)
		w.tick()
	}},
	{"a full table is searched again after exactly a second", func(w *writer) {
		w.wait(100 * time.Millisecond)
		w.scan(0, 100, 0)
		w.wait(time.Second)
		w.scan(1, 20, 200)
	}},
	{"stations are found after others were removed", func(w *writer) {
		w.scan(0, 28, 0)
		w.scan(1, 30, 100)
		w.forget(0)
		w.scan(2+scanTo, 30, 100)
		w.scan(0, 30, 200)
		w.wait(400 * time.Millisecond)
		w.scan(1, 15, 100)
		w.wait(100 * time.Millisecond)
		w.tick()
		w.scan(2+scanTo, 30, 100)
	}},
	{"sizes: at, above and far above the limit, with 0 to 3 tags, and with segments", func(w *writer) {
		for _, size := range []int{60, 64, 1514, 1515, 1518, 1519, 1522, 1523, 1526, 1527, 9000} {
			for _, tags := range []string{"\x08\x00", "\x81\x00\x00\x01\x08\x00", "\x88\xa8\x00\x02\x81\x00\x00\x01\x08\x00", "\x81\x00\x00\x01\x81\x00\x00\x02\x81\x00\x00\x03\x08\x00"} {
				b := append(append([]byte{}, ethernet(otherMAC, guestMAC, 0)[:12]...), tags...)
				w.raw(0, 1, vswitch.Frame{Data: append(b, make([]byte, size-len(b))...)})
			}
		}
		for _, size := range []uint16{6, 7, 1400, 1460, 1461, 65535} {
			w.raw(0, 1, undone(ipv4{to: farIP, protocol: 6, payload: append(tcpHeader(0x10, ""), make([]byte, 3000)...)}, 16, 1, size))
		}
	}},
}

// probe returns the probe of a port in the configuration with a loop guard.
func probe(port int) vswitch.Frame {
	b := append(ethernet(vswitch.Broadcast, vswitch.MAC{2, 1, 2, 3, 0, byte(port)}, 0x88b5), "podswitch\x01\x01\x02\x03\x04\x05\x06\x07\x08\x00"...)
	return vswitch.Frame{Data: append(append(b, byte(port)), make([]byte, 26)...)}
}
