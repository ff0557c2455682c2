package keeper

import (
	"errors"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/host/missing"
)

// TestCheckNamespace: only the machine's own namespace is refused, and the error names the ways out.
func TestCheckNamespace(t *testing.T) {
	for _, c := range []struct{ host, initial, refused bool }{{false, false, false}, {false, true, true}, {true, false, false}, {true, true, false}} {
		err := checkNamespace(c.host, c.initial)
		var lacks *missing.Error
		if errors.As(err, &lacks) != c.refused {
			t.Errorf("%+v: %v", c, err)
		}
		for _, want := range []string{"hostNetwork", "ip netns exec", "--host"} {
			if c.refused && !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not name %q", err, want)
			}
		}
	}
}
