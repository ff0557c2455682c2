package tap

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

func TestFindTransmitDrops(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  tap0: 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17
 tap01:1 2 3 4 5 6 7 8 9 10 11 99 13 14 15 16
  tap2: 1 2
`
	for device, want := range map[string]uint64{"tap0": 13, "tap01": 99, "lo": 0} {
		if got, ok := findTransmitDrops([]byte(text), device); got != want || !ok {
			t.Errorf("%s: %d, %t; want %d", device, got, ok, want)
		}
	}
	for _, device := range []string{"tap", "tap2", "fd:3", ""} {
		if n, ok := findTransmitDrops([]byte(text), device); ok {
			t.Errorf("%q: %d", device, n)
		}
	}
}

// Frames that overflow the queue of a tap are counted at the port of either side, once.
func TestTapQueueDrops(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		drops, err := OpenLinkDrops()
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { drops.Close() })
		opened := func(spec Spec) vswitch.Port {
			d := openDevice(t, spec, true)
			d.Drops = drops
			return portOf(t, d)
		}
		other := open(t, Spec{KindTap, "tap9"}, true)
		ip(t, "link set tap9 up txqueuelen 10")
		earlier := open(t, Spec{KindPacket, "tap9"}, true)
		for range 20 {
			earlier.Transmit([]vswitch.Frame{{Data: datagram(100)}})
		}
		if n, _ := drops.transmit("tap9"); n < 10 {
			t.Fatalf("the device has dropped %d frames of 20 with a queue of 10", n)
		}
		if n := opened(Spec{KindPacket, "tap9"}).Counters().Drops()["port-full"]; n != 0 {
			t.Errorf("a new port counts %d drops of the time before it", n)
		}
		earlier.Close()
		other.Close()
		user := opened(Spec{KindTap, "tap9"})
		ip(t, "link set tap9 up txqueuelen 10")
		kernel := opened(Spec{KindPacket, "tap9"})
		sent := 0
		for user.Counters().Drops()["receive-full"] == 0 {
			kernel.Transmit([]vswitch.Frame{{Data: datagram(100)}})
			if sent++; sent > 1<<16 {
				t.Fatal("the queue is never full, or its drops are not counted")
			}
		}
		want, _ := drops.transmit("tap9")
		if got := kernel.Counters().Drops()["port-full"]; got == 0 || got > want {
			t.Errorf("port-full is %d, and the device has dropped %d", got, want)
		}
		before := user.Counters().Drops()["receive-full"]
		if again := user.Counters().Drops()["receive-full"]; again != before {
			t.Errorf("without more frames, receive-full goes from %d to %d", before, again)
		}
	})
}

// The same for inherited descriptors, whose device the kernel names.
func TestInheritedQueueDrops(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		drops, err := OpenLinkDrops()
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { drops.Close() })
		inherited := func(spec Spec) vswitch.Port {
			d := inherit(t, openDevice(t, spec, true))
			if d.Link != "tap9" {
				t.Errorf("the device of %s is %q, want tap9", d.Name, d.Link)
			}
			d.Drops = drops
			return portOf(t, d)
		}
		user := inherited(Spec{KindTap, "tap9"})
		ip(t, "link set tap9 up txqueuelen 10")
		kernel := inherited(Spec{KindPacket, "tap9"})
		for range 30 {
			kernel.Transmit([]vswitch.Frame{{Data: datagram(100)}})
		}
		if n := user.Counters().Drops()["receive-full"]; n < 20 {
			t.Errorf("%d drops at the user side, want 20 or more", n)
		}
		if n := kernel.Counters().Drops()["port-full"]; n < 20 {
			t.Errorf("%d drops at the kernel side, want 20 or more", n)
		}
	})
}

// A descriptor's device in another network namespace has a name there, which may be that of another device here.
func TestInheritedFromAnotherNamespace(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		user := openDevice(t, Spec{KindTap, "tap9"}, true)
		ip(t, "link set tap9 up")
		kernel := openDevice(t, Spec{KindPacket, "tap9"}, true)
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Fatal(err)
		}
		here := openDevice(t, Spec{KindTap, "tap9"}, true)
		defer here.Close()
		for _, d := range []Device{inherit(t, user), inherit(t, kernel)} {
			if d.Link != "" {
				t.Errorf("the %s is taken for %s of this namespace", d.Kind, d.Link)
			}
			d.Close()
		}
	})
}

// inherit returns the device of a descriptor that another process has opened.
func inherit(t *testing.T, opened Device) Device {
	t.Helper()
	d, err := InheritDevice(opened.FD, Options{Offload: true})
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	return d
}
