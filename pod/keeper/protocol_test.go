package keeper

import (
	"reflect"
	"testing"

	"github.com/podswitch/podswitch/pod/grant"
)

// TestAllowed checks the table of messages for each pair of a message and a phase.
func TestAllowed(t *testing.T) {
	// connected, standing, building, ready, starting, running, yielding, yielded, stopping, closed
	want := map[string]string{
		"ask":     "x.........",
		"hello":   "x.........",
		"ready":   "..x.......",
		"started": "....x...x.",
		"yielded": "......x.x.",
		"reopen":  "....xxxxx.",
		"dial":    "....xxxxx.",
		"learned": "....xxxxx.",
		"bye":     "..xxxxxxx.",
		"stopped": "........x.",
		"fault":   "xxxxxxxxx.",
	}
	known := map[string]bool{}
	message := reflect.TypeFor[grant.Message]()
	for i := range message.NumField() {
		var m grant.Message
		reflect.ValueOf(&m).Elem().Field(i).Set(reflect.New(message.Field(i).Type.Elem()))
		known[m.Name()] = true
		for p := range numPhases {
			row, ok := want[m.Name()]
			if got := p.allows(m.Name()); got != (ok && row[p] == 'x') {
				t.Errorf("%s, %v: allowed is %v", m.Name(), p, got)
			}
		}
	}
	for name := range allowed {
		if !known[name] {
			t.Errorf("package grant has no message %q", name)
		}
	}
}
