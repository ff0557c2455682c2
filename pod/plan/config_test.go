package plan

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

func TestParseKeptPort(t *testing.T) {
	for text, want := range map[string]string{
		"tcp/8080":                             "tcp/8080=127.0.0.1:8080",
		"tcp/80=localhost:8080":                "tcp/80=localhost:8080",
		"tcp/1=[::1]:65535":                    "tcp/1=[::1]:65535",
		"tcp/8080,proxy":                       "tcp/8080=127.0.0.1:8080,proxy",
		"tcp/80=[::1]:81,proxy":                "tcp/80=[::1]:81,proxy",
		"tcp/80,proxy=[::1]:81":                "",
		"tcp/80,Proxy":                         "",
		"udp/53":                               "udp/53=127.0.0.1:53",
		"udp/53=localhost:5353,from=127.0.0.2": "udp/53=localhost:5353,from=127.0.0.2",
		"tcp/80,from=127.1.2.3,proxy":          "tcp/80=127.0.0.1:80,proxy,from=127.1.2.3",
		"tcp/80,from=10.0.0.1":                 "",
		"tcp/80,from=::1":                      "",
		"tcp/80,from=":                         "",
		"tcp/80=10.0.0.1:80,from=127.0.0.2":    "",
		"tcp/80=[::1]:80,from=127.0.0.2":       "",
		"tcp/80,from=127.0.0.2,from=127.0.0.3": "",
		"tcp/80,proxy,proxy":                   "",
		"tcp/80,":                              "",
		"udp/53,from=client":                   "udp/53,from=client",
		"tcp/80=127.0.0.1:80,from=client":      "",
		"tcp/80,proxy,from=client":             "",
		"udp/67":                               "",
		"udp/68=127.0.0.1:5000":                "",
		"sctp/80":                              "",
		"tcp/0":                                "",
		"tcp/65536":                            "",
		"tcp/":                                 "",
		"8080":                                 "",
		"tcp/80=":                              "",
		"tcp/80=127.0.0.1":                     "",
		"tcp/80=:8080":                         "",
		"tcp/80=127.0.0.1:0":                   "",
		"tcp/80=127.0.0.1:080801":              "",
	} {
		k, err := ParseKeptPort(text)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q: accepted as %s", text, k)
		case want != "" && (err != nil || k.String() != want):
			t.Errorf("%q: %s, %v; want %s", text, k, err, want)
		}
	}
}

// TestRouterMAC checks that the router MAC depends only on the wire MAC, is locally administered, and differs from the guest's MAC.
func TestRouterMAC(t *testing.T) {
	wire := vswitch.MAC{0x0a, 0x58, 10, 244, 1, 7}
	first := routerMAC(wire, vswitch.MAC{})
	if first != routerMAC(wire, vswitch.MAC{}) || first == wire || first[0] != 2 {
		t.Errorf("router MAC %s", first)
	}
	if second := routerMAC(wire, first); second == first {
		t.Error("the router has the guest's MAC")
	}
}

// TestRouterMACOfTheDocument checks that a plan has the router MAC of the VM document, which must be neither the pod's nor the guest's.
func TestRouterMACOfTheDocument(t *testing.T) {
	id := identity()
	pod := vswitch.MAC(id.Link.MAC)
	for _, test := range []struct {
		router, guest vswitch.MAC
		want          string // an error; empty: none
	}{
		{vswitch.MAC{2, 0, 0, 0, 0, 0xfe}, vswitch.MAC{}, ""},
		{vswitch.MAC{2, 0, 0, 0, 0, 0xfe}, pod, ""},
		{pod, vswitch.MAC{}, "routerMac " + pod.String() + " of the VM document is the MAC of the pod interface (want another MAC)"},
		{vswitch.MAC{2, 0, 0, 0, 0, 9}, vswitch.MAC{2, 0, 0, 0, 0, 9}, "routerMac 02:00:00:00:00:09 of the VM document is the MAC of the guest (want another MAC)"},
	} {
		vm := model.Default()
		vm.Interface.RouterMAC = test.router[:]
		cfg := Config{Settings: Settings{VM: vm, PinnedMAC: test.guest}, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
		p, err := resolve(cfg, id, &environment{})
		if test.want != "" {
			var conflict *ConflictError
			if !errors.As(err, &conflict) || err.Error() != test.want {
				t.Errorf("error %v, want %s", err, test.want)
			}
		} else if err != nil || p.RouterMAC != test.router || p.Delegate().RouterMAC != test.router {
			t.Errorf("router MAC %s: plan %+v, error %v", test.router, p, err)
		}
	}
}

// TestRouterMACOfTheFlag checks that --router-mac takes precedence over the document, under the same rules, and has no meaning for a plain bridge.
func TestRouterMACOfTheFlag(t *testing.T) {
	id := identity()
	pod, flag := vswitch.MAC(id.Link.MAC), vswitch.MAC{2, 0, 0, 0, 0, 0xfd}
	for _, test := range []struct {
		flag   vswitch.MAC
		bridge bool
		want   string // an error; empty: none
	}{
		{flag, false, ""},
		{pod, false, "--router-mac " + pod.String() + " is the MAC of the pod interface (want another MAC)"},
		{flag, true, "--router-mac " + flag.String() + " needs delegateIp"},
	} {
		vm := model.Default()
		vm.Interface.RouterMAC = []byte{2, 0, 0, 0, 0, 0xfe}
		if test.bridge {
			vm.Interface.RouterMAC, vm.Interface.Method = nil, model.Bridge
		}
		cfg := Config{Settings: Settings{VM: vm}, RouterMAC: test.flag, Guest: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap0"}}
		p, err := resolve(cfg, id, &environment{})
		if test.want != "" {
			var conflict *ConflictError
			if !errors.As(err, &conflict) || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		} else if err != nil || p.RouterMAC != test.flag {
			t.Errorf("router MAC %s: plan %+v, error %v", test.flag, p, err)
		}
	}
}

// TestFreeServer checks that the server's address is one that the pod does not use.
func TestFreeServer(t *testing.T) {
	id := &podnet.Identity{
		Resolv: podnet.Resolv{NameServers: []netip.Addr{netip.MustParseAddr("169.254.75.10")}},
		Routes: []podnet.Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("169.254.75.11"), Link: 2}},
		Link:   podnet.Link{Index: 2},
	}
	if got := freeServer(id).String(); got != "169.254.75.12" {
		t.Errorf("server %s", got)
	}
	if got := freeServer(&podnet.Identity{}); got != serverAddress {
		t.Errorf("server %s", got)
	}
}
