package vswitch_test

import (
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// TestFlap: a station flaps if it moves within a second of its previous move. The first frame of a station is no move.
func TestFlap(t *testing.T) {
	const second = time.Second
	for name, c := range map[string]struct {
		ports []int           // where the station sends
		at    []time.Duration // when
		want  vswitch.Flap    // the zero value: none
	}{
		"a station that stays":          {[]int{0, 0, 0}, []time.Duration{0, 1, 2}, vswitch.Flap{}},
		"one move":                      {[]int{0, 1, 1}, []time.Duration{0, 1, 2}, vswitch.Flap{}},
		"back at once":                  {[]int{0, 1, 0}, []time.Duration{0, 1, 2}, vswitch.Flap{From: 1, To: 0}},
		"back within a second":          {[]int{0, 1, 2}, []time.Duration{0, 1, second}, vswitch.Flap{From: 1, To: 2}},
		"back a second later":           {[]int{0, 1, 0}, []time.Duration{0, 1, second + 1}, vswitch.Flap{}},
		"slow, and then fast":           {[]int{0, 1, 0, 1}, []time.Duration{0, 1, 2 * second, 2*second + 1}, vswitch.Flap{From: 0, To: 1}},
		"a station that was forgotten":  {[]int{0, 1, 0}, []time.Duration{0, 61 * second, 61*second + 1}, vswitch.Flap{}},
		"a station that moved, and two": {[]int{0, 1, 1, 0}, []time.Duration{0, 1, second / 2, second}, vswitch.Flap{From: 1, To: 0}},
	} {
		t.Run(name, func(t *testing.T) {
			b := vswitch.NewBridge(vswitch.BridgeConfig{Ports: 3, Ageing: time.Minute})
			out := vswitch.NewOut(3, new(vswitch.Counters))
			mac := vswitch.MAC{2, 0, 0, 0, 0, 9}
			frame := append([]byte{255, 255, 255, 255, 255, 255}, mac[:]...)
			for i, port := range c.ports {
				b.Forward(port, []vswitch.Frame{{Data: append(frame, make([]byte, 48)...)}}, c.at[i], out)
			}
			if c.want != (vswitch.Flap{}) {
				c.want.MAC = mac
			}
			for range 2 { // the second time, the first one has taken it
				if got, ok := b.TakeFlap(); got != c.want || ok != (c.want != vswitch.Flap{}) {
					t.Errorf("flap %v, %t; want %v", got, ok, c.want)
				}
				c.want = vswitch.Flap{}
			}
		})
	}
}
