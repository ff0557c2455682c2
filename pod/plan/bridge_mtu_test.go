package plan

import (
	"testing"

	"github.com/podswitch/podswitch/pod/podnet"
)

// TestBridgeOfAPodWithALargeMTU checks that a bridge forwards no frame that the guest's tap cannot carry.
func TestBridgeOfAPodWithALargeMTU(t *testing.T) {
	p := &Plan{Identity: &podnet.Identity{Link: podnet.Link{MTU: 65535}}, GuestMTU: 65521}
	if got := p.Bridge().MaxFrame; got != 65535 {
		t.Errorf("the largest frame has %d bytes, want 65535", got)
	}
}
