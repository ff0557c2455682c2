package dhcpsrv

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSubnet checks the mask and the gateway by the setting and by what the client requests.
func TestSubnet(t *testing.T) {
	for _, test := range []struct {
		name, profile string
		subnet        Subnet
		wants         []byte
		mask, router  string
	}{
		{"reads routes", "calico", SubnetAuto, []byte{1, 3, 121}, "255.255.255.255", "169.254.1.1"},
		{"reads routes by Microsoft's number", "calico", SubnetAuto, []byte{1, 3, 249}, "255.255.255.255", "169.254.1.1"},
		{"reads no routes", "calico", SubnetAuto, []byte{1, 3}, "255.255.255.0", "192.168.103.1"},
		{"no list", "calico", SubnetAuto, nil, "255.255.255.0", "192.168.103.1"},
		{"gateway in the subnet", "flannel", SubnetAuto, []byte{1, 3}, "255.255.255.0", "10.244.1.1"},
		{"wide for all", "calico", SubnetWide, []byte{1, 3, 121}, "255.255.255.0", "192.168.103.1"},
		{"wide, gateway in the subnet", "flannel", SubnetWide, []byte{1, 3}, "255.255.255.0", "10.244.1.1"},
		{"wide for none", "calico", SubnetPod, []byte{1, 3}, "255.255.255.255", "169.254.1.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := mustProfile(t, test.profile)
			o.Subnet = test.subnet
			d := replyTo(t, newOffer(t, o), message(discover, wants(test.wants...)))
			if mask, router := addresses(d.value(1)), addresses(d.value(3)); mask != test.mask || router != test.router {
				t.Errorf("mask %s, router %s, want %s and %s", mask, router, test.mask, test.router)
			}
		})
	}
}

// TestWideRoutes checks that a client which reads routes gets the same gateway in both places.
func TestWideRoutes(t *testing.T) {
	o := mustProfile(t, "calico")
	o.Subnet = SubnetWide
	made := newOffer(t, o)
	d := replyTo(t, made, message(discover, wants(1, 3, 28, 121)))
	if got, want := routeList(d.value(121)), "0.0.0.0/0 via 192.168.103.1; 169.254.1.1/32 via 0.0.0.0"; got != want {
		t.Errorf("routes %q, want %q", got, want)
	}
	if got := addresses(d.value(28)); got != "192.168.103.255" || made.Gateway.String() != "192.168.103.1" {
		t.Errorf("broadcast %s, gateway %s", got, made.Gateway)
	}
	text, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	var again Offer
	if err := json.Unmarshal(text, &again); err != nil || again.Subnet != SubnetWide {
		t.Fatalf("%s is read as subnet %q, %v", text, again.Subnet, err)
	}
	if diff := cmp.Diff(d.lines(), replyTo(t, &again, message(discover, wants(1, 3, 28, 121))).lines()); diff != "" {
		t.Errorf("the offer changes with its JSON (-before +after):\n%s", diff)
	}
	o.Subnet = "narrow"
	if _, _, err := NewOffer(o); err == nil {
		t.Error("an unknown subnet is accepted")
	}
}

// TestWideSubnet checks that the pod address and the gateway are hosts of the subnet.
func TestWideSubnet(t *testing.T) {
	for pod, want := range map[string]string{
		"10.0.3.7/32": "10.0.3.7/24 10.0.3.1", "10.0.3.1/32": "10.0.3.1/24 10.0.3.2", "10.0.3.7/20": "10.0.3.7/20 10.0.0.1",
		"10.0.3.0/32": "10.0.3.0/23 10.0.2.1", "10.0.3.255/32": "10.0.3.255/21 10.0.0.1", "10.0.3.254/31": "10.0.3.254/24 10.0.3.1",
		"10.0.0.0/32": "", "10.255.255.255/32": "",
	} {
		subnet, gateway, ok := wideSubnet(netip.MustParsePrefix(pod))
		if got := fmt.Sprint(subnet, " ", gateway); ok != (want != "") || ok && got != want {
			t.Errorf("%s becomes %s, %v, want %q", pod, got, ok, want)
		}
	}
}

// TestSomeRoutes checks that a client without room for all routes gets the default route and as many others as fit, and that options
// after the routes are sent as well.
func TestSomeRoutes(t *testing.T) {
	o := mustProfile(t, "calico")
	for i := range 80 {
		o.Routes = append(o.Routes, route(fmt.Sprintf("172.16.%d.0/24 via 169.254.1.1", i)))
	}
	made, warnings, err := NewOffer(o)
	if err != nil || len(warnings) != 1 {
		t.Fatalf("error %v, warnings %q, want one", err, warnings)
	}
	for _, limit := range []uint16{576, 700, 1450} {
		r := Answer(made, Query{Message: message(discover, wants(1, 3, 6, 26, 121, 12, 15), size(limit)), Now: testNow})
		checkReply(t, made, r)
		d, err := decode(r.Reply)
		if err != nil {
			t.Fatal(err)
		}
		if left := int(limit) - 28 - len(r.Reply); left < 0 || limit < 1000 && left >= 8+2 {
			t.Errorf("%d bytes are unused of %d", left, limit)
		}
		got := routeList(d.value(121))
		const first = "169.254.1.1/32 via 0.0.0.0; 0.0.0.0/0 via 169.254.1.1; 172.16.0.0/24 via 169.254.1.1; "
		if len(got) < len(first) || got[:len(first)] != first {
			t.Errorf("routes %q, want them to begin with %q", got, first)
		}
		for _, code := range []uint8{12, 15, 26} {
			if d.value(code) == nil {
				t.Errorf("option %d is missing at %d", code, limit)
			}
		}
	}
}
