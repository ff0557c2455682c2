package plan

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/vswitch"
)

// TestUplinkEthertypes checks that the socket of the uplink withholds from the forwarder only frames that it drops for their type alone,
// and nothing from a plain bridge.
func TestUplinkEthertypes(t *testing.T) {
	p, err := resolve(Config{Settings: Settings{VM: model.Default()}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}, identity(), &environment{})
	if err != nil {
		t.Fatal(err)
	}
	d := vswitch.NewDelegate(p.Delegate())
	counters := new(vswitch.Counters)
	out := vswitch.NewOut(4, counters)
	types := p.UplinkEthertypes()
	for ethertype := range 1 << 16 {
		frame := append([]byte{2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 9}, binary.BigEndian.AppendUint16(nil, uint16(ethertype))...)
		frame = append(append(frame, 0, 5), make([]byte, 44)...) // a tag would be of VLAN 5
		d.Forward(vswitch.PortUplink, []vswitch.Frame{{Data: frame}}, time.Second, out)
		byType := counters.Drops()["ethertype"]+counters.Drops()["pod-ipv6"] > 0
		if received := slices.Contains(types, uint16(ethertype)); received == byType {
			t.Errorf("ethertype %#04x: received %t, dropped for it %t", ethertype, received, byType)
		}
		*counters = vswitch.Counters{}
	}
	if bridge := (&Plan{Method: model.Bridge.String()}).UplinkEthertypes(); bridge != nil {
		t.Errorf("ethertypes of a plain bridge: %v, want all", bridge)
	}
}

// TestUplinkOwnFrames checks when the uplink's socket leaves frames for other hosts.
func TestUplinkOwnFrames(t *testing.T) {
	for name, c := range map[string]struct {
		method  string
		address string
		noARP   bool
		want    bool
	}{
		"a subnet":                {model.Bridge.String() + "+delegateIp", "10.244.1.7/24", false, true},
		"no subnet":               {model.Bridge.String() + "+delegateIp", "10.244.1.7/32", false, false},
		"a link without ARP":      {model.Bridge.String() + "+delegateIp", "10.244.1.7/24", true, false},
		"a plain Ethernet bridge": {model.Bridge.String(), "10.244.1.7/24", false, false},
	} {
		id := identity()
		id.Link.NoARP = c.noARP
		p := &Plan{Method: c.method, Address: netip.MustParsePrefix(c.address), Identity: id}
		if got := p.UplinkOwnFrames(); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
