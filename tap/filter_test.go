package tap

import (
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// typedFrame returns a frame of 60 bytes.
func typedFrame(ethertype uint16) []byte {
	frame := make([]byte, 60)
	copy(frame, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, byte(ethertype >> 8), byte(ethertype)})
	return frame
}

// TestFilterProgram checks which frames the filter passes, and that it passes them whole.
func TestFilterProgram(t *testing.T) {
	vm, err := bpf.NewVM(filterProgram(Options{Ethertypes: []uint16{unix.ETH_P_IP, unix.ETH_P_ARP, unix.ETH_P_8021Q}}))
	if err != nil {
		t.Fatal(err)
	}
	for ethertype, passes := range map[uint16]bool{0x0800: true, 0x0806: true, 0x8100: true, 0x86dd: false, 0x88cc: false, 0x0026: false, 0: false} {
		n, err := vm.Run(typedFrame(ethertype))
		if err != nil || (n > 0) != passes || passes && n < vswitch.MaxFrame {
			t.Errorf("ethertype %#04x: %d bytes pass, %v; want %t", ethertype, n, err, passes)
		}
	}
	if n, err := vm.Run(typedFrame(0x0800)[:13]); n != 0 || err != nil {
		t.Errorf("a frame without an ethertype: %d bytes pass, %v", n, err)
	}
}

// TestFilteredSocket checks that a packet socket with ethertypes receives only frames of these.
func TestFilteredSocket(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		device := open(t, Spec{KindTap, "tap9"}, true)
		ip(t, "link set tap9 up")
		d, err := OpenDevice(Spec{KindPacket, "tap9"}, Options{Offload: true, Ethertypes: []uint16{unix.ETH_P_IP}})
		if err != nil {
			t.Error(err)
			return
		}
		kernel := portOf(t, d)
		defer kernel.Close()
		defer device.Close()
		for _, ethertype := range []uint16{unix.ETH_P_IPV6, unix.ETH_P_ARP, unix.ETH_P_IP} {
			device.Transmit([]vswitch.Frame{{Offload: vnet.Header{}, Data: typedFrame(ethertype)}})
		}
		batch := make([]vswitch.Frame, vswitch.BatchSize)
		n, err := kernel.Receive(batch)
		if err != nil || n != 1 || batch[0].Data[12] != 8 || batch[0].Data[13] != 0 {
			t.Errorf("%d frames, %v; want the IPv4 frame alone", n, err)
		}
	})
}

// TestOwnFrames checks that a packet socket for the device's own frames receives those to its MAC, to a group and to all, does not receive those
// to another host, and does not make the device promiscuous.
func TestOwnFrames(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		device := open(t, Spec{KindTap, "tap9"}, true)
		ip(t, "link set tap9 address 02:00:00:00:00:09 up")
		d, err := OpenDevice(Spec{KindPacket, "tap9"}, Options{Offload: true, Ethertypes: []uint16{unix.ETH_P_IP}, OwnFrames: true})
		if err != nil {
			t.Error(err)
			return
		}
		kernel := portOf(t, d)
		defer kernel.Close()
		defer device.Close()
		link, err := exec.Command("ip", "-d", "link", "show", "tap9").CombinedOutput()
		if link := string(link); err != nil || !strings.Contains(link, "promiscuity 0") || !strings.Contains(link, "allmulti 1") {
			t.Errorf("the device is promiscuous, or receives not all groups: %s", link)
		}
		own, group, all := vswitch.MAC{2, 0, 0, 0, 0, 9}, vswitch.MAC{1, 0, 0x5e, 0, 0, 5}, vswitch.Broadcast
		for _, to := range []vswitch.MAC{{2, 0, 0, 0, 0, 7}, own, group, all} {
			frame := typedFrame(unix.ETH_P_IP)
			copy(frame, to[:])
			device.Transmit([]vswitch.Frame{{Data: frame}})
		}
		batch := make([]vswitch.Frame, vswitch.BatchSize)
		for _, want := range []vswitch.MAC{own, group, all} {
			n, err := kernel.Receive(batch[:1])
			if err != nil || n != 1 || vswitch.MAC(batch[0].Data) != want {
				t.Fatalf("%d frames, %v; want the one to %v", n, err, want)
			}
		}
	})
}
