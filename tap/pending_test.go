package tap

import (
	"errors"
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vswitch"
)

// packetOf returns the packet socket of a port.
func packetOf(p vswitch.Port) *packetPort { return p.(*mergingPort).Port.(*packetPort) }

// takePending reads and so clears the pending error of a port's socket, as any system call does that comes before the receiver's.
func takePending(t *testing.T, p vswitch.Port) (errno int) {
	t.Helper()
	packetOf(p).Descriptor.Transmit(func(fd uintptr) {
		var err error
		if errno, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); err != nil {
			t.Error(err)
		}
	})
	return errno
}

// TestPendingLoss has another call clear the pending error of a lost device, while the receiver waits and before: the next transmit, or
// Discard, finds the loss again.
func TestPendingLoss(t *testing.T) {
	transmit := func(p vswitch.Port) { p.Transmit([]vswitch.Frame{numbered(0), numbered(1)}) }
	for _, test := range []struct {
		name, loss string
		take       func(t *testing.T, p vswitch.Port)
		want       error
	}{
		{"down", "link set v1 down", func(t *testing.T, p vswitch.Port) { takePending(t, p); transmit(p) }, unix.ENETDOWN},
		{"deleted", "link del v1", func(t *testing.T, p vswitch.Port) { takePending(t, p); transmit(p) }, unix.ENXIO},
		{"discarded", "link set v1 down", func(_ *testing.T, p vswitch.Port) { p.(discarder).Discard(vswitch.NotHolder) }, unix.ENETDOWN},
	} {
		inNamespace(t, func(t *testing.T) {
			veth(t, "1500")
			p := open(t, Spec{KindPacket, "v1"}, true)
			ip(t, test.loss)
			test.take(t, p)
			if _, err := collect(p, -1); !errors.Is(err, test.want) {
				t.Errorf("%s: Receive = %v; want %v", test.name, err, test.want)
			}
			if n := p.Counters().Drops()["port-down"]; n != 0 && n != 2 {
				t.Errorf("%s: %d frames of 2 are counted as port-down", test.name, n)
			}
		})
	}
}

// TestPendingWhileWaiting does the same for a receiver that waits already: the kernel has woken it, and has no error for it.
func TestPendingWhileWaiting(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		p := open(t, Spec{KindPacket, "v1"}, true)
		done := make(chan error, 1)
		go func() {
			_, err := collect(p, -1)
			done <- err
		}()
		port := packetOf(p)
		port.lost(unix.EINVAL) // not a loss
		port.lost(unix.ENXIO)
		if err := <-done; !errors.Is(err, unix.ENXIO) {
			t.Errorf("Receive = %v", err)
		}
	})
}

// TestPendingFlap sends just after the device went down and up again: the pending error drops no frame, and is not a loss, because the
// socket continues to work.
func TestPendingFlap(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		a, b := open(t, Spec{KindPacket, "v0"}, true), open(t, Spec{KindPacket, "v1"}, true)
		ip(t, "link set v0 down")
		ip(t, "link set v0 up")
		awaitUp(t)
		takePending(t, b) // v1 may have a pending error from the carrier, which this test is not about
		a.Transmit([]vswitch.Frame{numbered(7)})
		if drops := a.Counters().Drops(); len(drops) > 0 || takePending(t, a) != 0 {
			t.Errorf("drops %v", drops)
		}
		b.Transmit([]vswitch.Frame{numbered(8)})
		for p, want := range map[vswitch.Port]int{b: 7, a: 8} {
			if got, err := collect(p, want); err != nil || len(got) != 1 {
				t.Errorf("frames %v arrive, %v; want %d", got, err, want)
			}
		}
	})
}

// TestLossBehindFrames has frames queued when the device goes down: Receive returns them before the loss, with and without a shared
// thread.
func TestLossBehindFrames(t *testing.T) {
	const frames = 3*vswitch.BatchSize + 5
	for _, shared := range []bool{false, true} {
		inNamespace(t, func(t *testing.T) {
			veth(t, "1500")
			a, b := open(t, Spec{KindPacket, "v0"}, true), open(t, Spec{KindPacket, "v1"}, true)
			for i := range frames {
				a.Transmit([]vswitch.Frame{numbered(i)})
			}
			ip(t, "link set v1 down")
			loop := loopOf(t)
			var got []int
			var err error
			done := make(chan struct{})
			go func() { // this goroutine is locked to its thread, which Do does not allow
				defer close(done)
				loop.Do(func(turn *descriptor.Turn) {
					if shared {
						setTurn(b, turn)
					}
					got, err = collect(b, -1)
				})
			}()
			<-done
			if !errors.Is(err, unix.ENETDOWN) || len(got) != frames || got[frames-1] != frames-1 {
				t.Errorf("shared %t: %d frames of %d, and then %v", shared, len(got), frames, err)
			}
		})
	}
}

func loopOf(t *testing.T) *descriptor.Loop {
	t.Helper()
	loop, err := descriptor.NewLoop()
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	t.Cleanup(func() { loop.Close() })
	return loop
}

// TestOneReceive has several frames queued whose offloads the kernel cannot describe: each attempt ends with the first, so that other
// ports get their turns and an Interrupt takes effect.
func TestOneReceive(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		device, kernel := bothSides(t, true)
		kernel.(discarder).Discard(vswitch.Short) // the kernel's own multicast
		device.Transmit([]vswitch.Frame{unspeakable(), unspeakable(), unspeakable()})
		port := packetOf(kernel)
		for want := uint64(1); want <= 3; want++ {
			port.Descriptor.Transmit(func(fd uintptr) {
				if n, wait, err := port.readBatch(fd, make([]vswitch.Frame, vswitch.BatchSize)); wait || n != 0 || err != nil {
					t.Errorf("attempt %d: %d frames, wait %t, %v", want, n, wait, err)
				}
			})
			if got := kernel.Counters().Drops()["receive-error"]; got != want {
				t.Errorf("%d frames after %d attempts", got, want)
			}
		}
	})
}

// TestPendingUntold sends while EINVAL of a received frame is pending: the sent frame leaves, and the received one is counted. recvmmsg(2)
// leaves such an error pending if it comes behind frames.
func TestPendingUntold(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		device, kernel := bothSides(t, true)
		packetOf(kernel).careful.Store(0)
		device.Transmit([]vswitch.Frame{numbered(1), unspeakable()})
		if got, err := collect(kernel, 1); err != nil || len(got) != 1 {
			t.Errorf("frames %v arrive, %v", got, err)
		}
		kernel.Transmit([]vswitch.Frame{numbered(2)})
		if drops := kernel.Counters().Drops(); drops["transmit-error"] != 0 || drops["receive-error"] != 1 {
			t.Errorf("drops %v", drops)
		}
		if got, err := collect(device, 2); err != nil || len(got) != 1 {
			t.Errorf("frames %v arrive, %v", got, err)
		}
	})
}

// TestDiscardUntold discards a frame whose offloads the kernel cannot describe.
func TestDiscardUntold(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		device, kernel := bothSides(t, true)
		kernel.(discarder).Discard(vswitch.Short) // the kernel's own multicast
		device.Transmit([]vswitch.Frame{numbered(1), unspeakable(), numbered(2)})
		kernel.(discarder).Discard(vswitch.NotHolder)
		if drops := kernel.Counters().Drops(); drops["not-holder"] < 3 {
			t.Errorf("drops %v; want three not-holder", drops)
		}
		if err := kernel.Close(); err != nil {
			t.Error(err)
		}
		if _, err := kernel.Receive(make([]vswitch.Frame, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Receive after Close: %v", err)
		}
	})
}
