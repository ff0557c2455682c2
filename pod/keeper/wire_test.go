package keeper

import (
	"testing"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/unixport"
)

// TestWireOpened: the description of an open port has every field that the switch needs to use the descriptor.
func TestWireOpened(t *testing.T) {
	device := wireOpened(1, &handle{device: &tap.Device{FD: 7, Name: "tap0", Link: "tap0", Kind: tap.KindTap, HeaderLen: 12, Offload: true}})
	if want := (grant.Device{Name: "tap0", Link: "tap0", Kind: "tap", HeaderLen: 12, Offload: true}); device.Port != 1 || device.Socket != nil || *device.Device != want {
		t.Errorf("%+v with %+v, want port 1 with %+v", device, device.Device, want)
	}
	socket := wireOpened(0, &handle{socket: &unixport.Socket{FD: 7, Type: "dgram", Listening: true, Connected: true, Remote: "/a"}})
	if want := (grant.Socket{Type: "dgram", Listening: true, Connected: true, Remote: "/a"}); socket.Port != 0 || socket.Device != nil || *socket.Socket != want {
		t.Errorf("%+v with %+v, want port 0 with %+v", socket, socket.Socket, want)
	}
}
