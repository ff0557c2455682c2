package tap

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// Every port of this package is an Interrupter.
var _ = []vswitch.Interrupter{(*tapPort)(nil), (*packetPort)(nil), (*softwarePort)(nil), (*mergingPort)(nil), (*reattachingPort)(nil)}

// numbered returns a frame that carries a number.
func numbered(n int) vswitch.Frame {
	data := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, make([]byte, 46)...)
	binary.BigEndian.PutUint32(data[14:], uint32(n))
	return vswitch.Frame{Data: data}
}

// collect receives numbered frames until Receive returns an error or frame last has arrived, at most for the test's timeout.
func collect(p vswitch.Port, last int) (numbers []int, err error) {
	timer := time.AfterFunc(30*time.Second, func() { p.Close() })
	defer timer.Stop()
	batch := make([]vswitch.Frame, vswitch.BatchSize)
	for {
		n, err := p.Receive(batch)
		if err != nil {
			return numbers, err
		}
		for _, f := range batch[:n] {
			if f.Data[12] != 0x88 || f.Data[13] != 0xb5 {
				continue
			}
			number := int(binary.BigEndian.Uint32(f.Data[14:]))
			numbers = append(numbers, number)
			if number == last {
				return numbers, nil
			}
		}
	}
}

// TestInterruptHandsOver interrupts a port that receives a stream of frames, and continues with another port of the same device: together
// they return every frame once and in order, and the first port still transmits.
func TestInterruptHandsOver(t *testing.T) {
	const frames = 3000
	for _, offload := range []bool{true, false} {
		inNamespace(t, func(t *testing.T) {
			veth(t, "1500")
			tap := openDevice(t, Spec{KindTap, "tap9"}, offload)
			ip(t, "link set tap9 txqueuelen 4000 up")
			for name, pair := range map[string]struct {
				from  vswitch.Port
				given Device
			}{
				"tap":    {open(t, Spec{KindPacket, "tap9"}, offload), tap},
				"packet": {open(t, Spec{KindPacket, "v0"}, offload), openDevice(t, Spec{KindPacket, "v1"}, offload)},
			} {
				second := portOf(t, duplicate(t, pair.given))
				first := NewReattaching(portOf(t, pair.given), new(vswitch.Counters), Reattach{})
				handsOver(t, name, frames, pair.from, first, second)
			}
		})
	}
}

func handsOver(t *testing.T, name string, frames int, from, first, second vswitch.Port) {
	t.Helper()
	midway := make(chan struct{})
	go func() {
		for i := range frames {
			if i == frames/3 {
				close(midway)
			}
			from.Transmit([]vswitch.Frame{numbered(i)})
		}
	}()
	interrupted := make(chan struct{})
	go func() {
		defer close(interrupted)
		<-midway
		first.(vswitch.Interrupter).Interrupt()
	}()
	numbers, err := collect(first, frames-1)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("%s: the first one ends with %v", name, err)
	}
	<-interrupted
	before := len(numbers)
	if before < frames {
		more, err := collect(second, frames-1)
		if err != nil {
			t.Errorf("%s: the second one ends with %v", name, err)
		}
		numbers = append(numbers, more...)
	}
	for i, number := range numbers {
		if number != i {
			t.Errorf("%s: frame %d in place %d of %d, %d of them by the first port", name, number, i, len(numbers), before)
			break
		}
	}
	if len(numbers) != frames {
		t.Errorf("%s: %d frames of %d; %v", name, len(numbers), frames, second.Counters().Drops())
	}
	first.Transmit([]vswitch.Frame{numbered(frames)})
	if got, err := collect(from, frames); err != nil || len(got) != 1 {
		t.Errorf("%s: after Interrupt %v is transmitted, %v; want frame %d", name, got, err, frames)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}

// TestInterruptWaiting ends a Receive that waits for a frame, and one that waits for a device.
func TestInterruptWaiting(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		counters := new(vswitch.Counters)
		away := func(waiting chan<- struct{}) Reattach {
			never := func(error) { t.Error("Lost was called after Interrupt") }
			return Reattach{Lost: never, Back: func() { t.Error("Back was called after Interrupt") },
				Reopen: func(ctx context.Context) (vswitch.Port, error) {
					close(waiting)
					<-ctx.Done()
					return nil, ctx.Err()
				}}
		}
		waiting := make(chan struct{})
		for name, test := range map[string]struct {
			port    vswitch.Port
			waiting <-chan struct{}
		}{
			"a tap":                      {port: open(t, Spec{KindTap, "tap9"}, true)},
			"a plain tap":                {port: open(t, Spec{KindTap, "tap8"}, false)},
			"a device that is there":     {port: NewReattaching(open(t, Spec{KindTap, "tap7"}, true), counters, away(nil))},
			"a device that is away":      {NewReattaching(nil, counters, away(waiting)), waiting},
			"what knows no interruption": {port: NewReattaching(newFakePort(counters), counters, away(nil))},
		} {
			ended := make(chan error, 1)
			go func() {
				_, err := test.port.Receive(make([]vswitch.Frame, 1))
				ended <- err
			}()
			if test.waiting != nil {
				<-test.waiting
			}
			test.port.(vswitch.Interrupter).Interrupt()
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: Receive = %v", name, err)
			}
			if _, err := test.port.Receive(make([]vswitch.Frame, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: Receive after Interrupt = %v", name, err)
			}
		}
	})
}

// TestInterruptBesideLoss loses the device, or opens it again, at the moment of the interruption: neither Lost nor Back is called, and the
// opened device is closed.
func TestInterruptBesideLoss(t *testing.T) {
	counters := new(vswitch.Counters)
	var p vswitch.Port
	first, second := &loadedPort{counters: counters, closed: make(chan struct{})}, newFakePort(counters)
	told := func() { t.Error("Lost or Back was called") }
	lost := lostPort{first, func() { p.(vswitch.Interrupter).Interrupt() }}
	p = NewReattaching(lost, counters, Reattach{Lost: func(error) { told() }, Back: told})
	if _, err := p.Receive(make([]vswitch.Frame, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("lost: Receive = %v", err)
	}
	p = NewReattaching(nil, counters, Reattach{Back: told, Reopen: func(context.Context) (vswitch.Port, error) {
		p.(vswitch.Interrupter).Interrupt()
		return second, nil
	}})
	if _, err := p.Receive(make([]vswitch.Frame, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("found: Receive = %v", err)
	}
	<-second.closed
}

// A lostPort is interrupted at the moment at which it finds that its device was lost.
type lostPort struct {
	*loadedPort
	interrupt func()
}

func (p lostPort) Receive([]vswitch.Frame) (int, error) {
	p.interrupt()
	return 0, errors.New("gone")
}

func (lostPort) Interrupt() {}

// TestInterruptLeavesCounters: the next user of the socket counts the frames that the kernel drops after an Interrupt.
func TestInterruptLeavesCounters(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		a, given := open(t, Spec{KindPacket, "v0"}, true), openDevice(t, Spec{KindPacket, "v1"}, true)
		second, first := portOf(t, duplicate(t, given)), portOf(t, given)
		first.(vswitch.Interrupter).Interrupt()
		batch := make([]vswitch.Frame, vswitch.BatchSize)
		for i := range batch {
			batch[i].Data = append(numbered(i).Data, make([]byte, 1400)...)
		}
		for range 1000 {
			a.Transmit(batch)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		if first, second := first.Counters().Drops(), second.Counters().Drops(); first["receive-full"] != 0 || second["receive-full"] == 0 {
			t.Errorf("dropped: %v by the first, %v by the second", first, second)
		}
	})
}

// TestDiscardReaches discards through every port that may wrap a packet socket.
func TestDiscardReaches(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth(t, "1500")
		a := open(t, Spec{KindPacket, "v0"}, true)
		inner := open(t, Spec{KindPacket, "v1"}, false)
		b := NewReattaching(inner, inner.Counters(), Reattach{})
		a.Transmit([]vswitch.Frame{numbered(0), numbered(1)})
		b.(discarder).Discard(vswitch.NotHolder)
		if n := b.Counters().Drops()["not-holder"]; n < 2 {
			t.Errorf("%d frames discarded; want both", n)
		}
		a.Transmit([]vswitch.Frame{numbered(2)})
		if got, err := collect(b, 2); err != nil || len(got) != 1 {
			t.Errorf("after that frames %v arrive, %v; want 2", got, err)
		}
		NewReattaching(nil, new(vswitch.Counters), Reattach{}).(discarder).Discard(vswitch.NotHolder) // there is no device
	})
}
