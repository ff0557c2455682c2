package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/tap"
)

// Datagrams that may be merged on their way come in bursts, each short enough for every queue.
const (
	mergeBursts  = 12
	mergeBurst   = 250
	mergePort    = 6000
	mergeQueue   = 8 << 20 // bytes, of the receiving socket
	mergeSilence = 500 * time.Millisecond
)

// TestMerge sends bursts of small and of large datagrams both ways, which the switch finds waiting: they leave it in fewer frames than
// they are, where the egress takes that, and arrive one by one, in order and as they were.
func TestMerge(t *testing.T) {
	if tap.Mergeable() != tap.MergeDatagrams {
		t.Skip("needs Linux 6.5")
	}
	for _, g := range guestKinds() {
		for _, offload := range []string{"on", "off"} {
			if offload == "off" && !g.keeps {
				continue // a socket takes none anyway
			}
			t.Run(g.name+" offload "+offload, func(t *testing.T) {
				l := newLab(t)
				p := g.attached(l, "--offload", offload)
				l.guest.must("ping", "-c1", "-W2", peerAddress)
				l.peer.must("ping", "-c1", "-W2", podAddress)
				for _, size := range []int{18, 1400} {
					l.mergeOneWay(t, l.guest, l.peer, peerAddress, size).expectMerged(t, "guest", "uplink", true)
					l.mergeOneWay(t, l.peer, l.guest, podAddress, size).expectMerged(t, "uplink", "guest", offload == "on" && g.keeps)
				}
				p.stop()
			})
		}
	}
}

// TestMergeOff has datagrams go on one by one.
func TestMergeOff(t *testing.T) {
	l := newLab(t)
	p := guestKinds()[0].attached(l, "--merge", "off")
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	for _, w := range []struct {
		mergedWay
		in string
	}{{l.mergeOneWay(t, l.guest, l.peer, peerAddress, 18), "guest"}, {l.mergeOneWay(t, l.peer, l.guest, podAddress, 18), "uplink"}} {
		if rx, _ := w.frames(w.in); rx < w.arrived || w.arrived < mergeBursts*mergeBurst/2 {
			t.Errorf("%d datagrams arrived, of %d frames from %s", w.arrived, rx, w.in)
		}
	}
	p.stop()
}

// A mergedWay is what happened to datagrams on their way.
type mergedWay struct {
	size          int // bytes in each
	arrived       uint64
	before, after shown
}

// expectMerged checks that the datagrams were merged where they entered, and where they left, or cut again.
func (w mergedWay) expectMerged(t *testing.T, in, out string, whole bool) {
	t.Helper()
	rx, _ := w.frames(in)
	_, tx := w.frames(out)
	t.Logf("%d datagrams of %d bytes: %d frames from %s, %d frames to %s", w.arrived, w.size, rx, in, tx, out)
	if w.arrived < mergeBursts*mergeBurst/2 {
		t.Errorf("%d of %d datagrams arrived", w.arrived, mergeBursts*mergeBurst)
	}
	if rx > w.arrived/2 || whole && tx > w.arrived/2 || !whole && tx < w.arrived {
		t.Errorf("of %d datagrams, %d frames came from %s and %d frames left to %s; whole: %t", w.arrived, rx, in, tx, out, whole)
	}
}

// frames counts what passed a port of the switch in the meantime.
func (w mergedWay) frames(port string) (rx, tx uint64) {
	for i, p := range w.after.Ports {
		if p.Name == port {
			return p.RxFrames - w.before.Ports[i].RxFrames, p.TxFrames - w.before.Ports[i].TxFrames
		}
	}
	return 0, 0
}

// mergeOneWay sends bursts from one namespace to an address in another. The switch stands still during each, so that it finds it whole.
func (l *lab) mergeOneWay(t *testing.T, from, to namespace, address string, size int) mergedWay {
	t.Helper()
	var out *net.UDPConn
	in := listenNumbered(t, to, size)
	if err := from.inside(func() (err error) {
		out, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.ParseIP(address), Port: mergePort})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := mergedWay{size: size, before: l.status()}
	packet, next := make([]byte, size), uint64(0)
	for range mergeBursts {
		l.standStill(t, w.before.SwitchPID, func() error {
			for range mergeBurst {
				next++
				fillNumbered(packet, next)
				if _, err := out.Write(packet); err != nil {
					return err
				}
			}
			return nil
		})
		in.settle(next)
	}
	w.after = l.status()
	_ = in.socket.Close()
	if err := <-in.done; err != nil {
		t.Error(err)
	}
	w.arrived = in.arrived.Load()
	return w
}

// standStill stops a process for as long as work takes.
func (l *lab) standStill(t *testing.T, pid int, work func() error) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	failed := work()
	if err := errors.Join(failed, syscall.Kill(pid, syscall.SIGCONT)); err != nil {
		t.Fatal(err)
	}
}

// fillNumbered writes a datagram's number and contents that follow from it.
func fillNumbered(packet []byte, number uint64) {
	binary.BigEndian.PutUint64(packet, number)
	for i := range packet[8:] {
		packet[8+i] = byte(number*131 + uint64(i)*7 + number>>8)
	}
}

// A numbered receives numbered datagrams until its socket is closed.
type numbered struct {
	socket        *net.UDPConn
	arrived, last atomic.Uint64
	done          chan error // what was wrong with one
}

func listenNumbered(t *testing.T, n namespace, size int) *numbered {
	t.Helper()
	r := &numbered{done: make(chan error, 1)}
	if err := n.inside(func() (err error) {
		r.socket, err = net.ListenUDP("udp4", &net.UDPAddr{Port: mergePort})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.socket.Close() })
	if _, err := descriptor.Borrow(r.socket, func(fd int) (struct{}, error) {
		return struct{}{}, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, mergeQueue)
	}); err != nil {
		t.Fatal(err)
	}
	go func() { r.done <- r.receive(size) }()
	return r
}

// receive checks each datagram: no number comes twice, or behind a larger one, and nothing else is in it than was sent.
func (r *numbered) receive(size int) error {
	packet, want := make([]byte, 1<<16), make([]byte, size)
	var wrong error
	for {
		n, err := r.socket.Read(packet)
		if err != nil {
			return wrong // closed: nothing more comes
		}
		if n < 8 {
			return fmt.Errorf("a datagram of %d bytes", n)
		}
		number := binary.BigEndian.Uint64(packet)
		fillNumbered(want, number)
		switch last := r.last.Load(); {
		case wrong != nil:
		case number <= last:
			wrong = fmt.Errorf("number %d comes behind %d", number, last)
		case !bytes.Equal(packet[:n], want):
			wrong = fmt.Errorf("number %d, of %d bytes, comes as %d bytes: %x", number, size, n, packet[:n])
		}
		r.arrived.Add(1)
		r.last.Store(number)
	}
}

// settle waits until a number has arrived, or nothing does any more, because it was lost.
func (r *numbered) settle(number uint64) {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	arrived, since := r.arrived.Load(), time.Now()
	for r.last.Load() < number && time.Since(since) < mergeSilence {
		<-ticker.C
		if now := r.arrived.Load(); now != arrived {
			arrived, since = now, time.Now()
		}
	}
}
