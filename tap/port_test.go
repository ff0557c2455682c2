package tap

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// TestPortFields passes wrong fields to Port: the error names the field, and the descriptor is closed.
func TestPortFields(t *testing.T) {
	for want, d := range map[string]Device{
		`the kind is ""`:             {HeaderLen: vnet.Size},
		`want "tap" or "packet"`:     {Kind: "stream", HeaderLen: vnet.Size, Offload: true},
		"has 12 bytes; want 10":      {Kind: KindTap, HeaderLen: 12},
		"has -10 bytes":              {Kind: KindPacket, HeaderLen: -10},
		"a packet socket without":    {Kind: KindPacket},
		"offloads without":           {Kind: KindTap, Offload: true},
		"the descriptor is -1; want": {Kind: KindTap, HeaderLen: vnet.Size, FD: -1},
	} {
		if d.FD == 0 {
			fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			d.FD = fd
		}
		d.Name = "eth7"
		_, err := d.Port(new(vswitch.Counters))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "eth7") {
			t.Errorf("%+v: %v; want %q", d, err, want)
		}
		if err := d.Close(); !errors.Is(err, unix.EBADF) {
			t.Errorf("%+v: closed once more: %v; want EBADF", d, err)
		}
	}
}

// TestPortClosed makes a port of a descriptor that is not open.
func TestPortClosed(t *testing.T) {
	for _, kind := range []string{KindTap, KindPacket} {
		_, err := Device{FD: 1 << 20, Name: "eth7", Kind: kind, HeaderLen: vnet.Size}.Port(new(vswitch.Counters))
		if !errors.Is(err, unix.EBADF) || !strings.Contains(err.Error(), kind+":eth7") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestDeviceText: the JSON of a Device.
func TestDeviceText(t *testing.T) {
	d := Device{FD: 7, Name: "tap9", Kind: KindTap, HeaderLen: vnet.Size, Offload: true}
	text, err := json.Marshal(d)
	if want := `{"name":"tap9","kind":"tap","header_len":10,"offload":true}`; err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
}

// TestDeviceCloses closes a Device without a port: a tap that OpenDevice has created disappears.
func TestDeviceCloses(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		for range 2 { // the second open fails if the first Close did not work
			if err := openDevice(t, Spec{KindTap, "tap9"}, true).Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestOpenUnknown opens a Spec of unknown kind.
func TestOpenUnknown(t *testing.T) {
	if d, err := OpenDevice(Spec{"dgram", "eth7"}, Options{}); err == nil || !strings.Contains(err.Error(), "dgram:eth7") || d.FD >= 0 {
		t.Errorf("%+v, %v", d, err)
	}
}
