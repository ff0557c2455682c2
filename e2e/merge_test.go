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

// The datagrams of the merge tests are sent in bursts that fit into every queue on the way.
const (
	mergeBursts  = 12
	mergeBurst   = 250
	mergePort    = 6000
	mergeQueue   = 8 << 20 // bytes; receive buffer of the socket
	mergeSilence = 500 * time.Millisecond
)

// TestMerge sends bursts of small and of large datagrams of each family both ways while the switch is stopped, so that it reads each burst at
// once. It must merge them: they leave in fewer frames where the egress accepts that. They arrive one by one, in order and unchanged.
func TestMerge(t *testing.T) {
	if what, err := tap.Mergeable(); what != tap.MergeDatagrams {
		t.Skip(err)
	}
	for _, g := range guestKinds() {
		for _, offload := range []string{"on", "off"} {
			if offload == "off" && !g.keeps {
				continue // a unix socket never has offloads
			}
			t.Run(g.name+" offload "+offload, func(t *testing.T) {
				l := newDualLab(t)
				p := g.attached(l, "--offload", offload)
				for _, end := range l.ends {
					l.guest.must("ping", "-c1", "-W2", end.peer)
					l.peer.must("ping", "-c1", "-W2", end.pod)
					for _, size := range []int{18, 1400} {
						l.mergeOneWay(t, l.guest, l.peer, end.peer, size).expectMerged(t, "guest", "uplink", true)
						l.mergeOneWay(t, l.peer, l.guest, end.pod, size).expectMerged(t, "uplink", "guest", offload == "on" && g.keeps)
					}
				}
				p.stop()
			})
		}
	}
}

// TestMergeOff checks that --merge off forwards datagrams one by one.
func TestMergeOff(t *testing.T) {
	l := newLab(t)
	p := guestKinds()[0].attached(l, "--merge", "off")
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	for _, w := range []struct {
		mergedWay
		in string
	}{{l.mergeOneWay(t, l.guest, l.peer, peerAddress, 18), "guest"}, {l.mergeOneWay(t, l.peer, l.guest, podAddress, 18), "uplink"}} {
		if rx, _ := w.frames(w.in); rx < w.arrived || w.arrived < mergeBursts*mergeBurst/2 {
			t.Errorf("%d datagrams arrived in %d frames from %s, want a frame for each, and at least %d", w.arrived, rx, w.in, mergeBursts*mergeBurst/2)
		}
	}
	p.stop()
}

// A mergedWay has the result of sending datagrams one way.
type mergedWay struct {
	size          int // bytes in each
	arrived       uint64
	before, after statusReport
}

// expectMerged checks that the switch merged the datagrams that it read from the port in, and that they left by the port out in merged
// frames if whole is true, and segmented otherwise.
func (w mergedWay) expectMerged(t *testing.T, in, out string, whole bool) {
	t.Helper()
	rx, _ := w.frames(in)
	_, tx := w.frames(out)
	t.Logf("%d datagrams of %d bytes: %d frames from %s, %d frames to %s", w.arrived, w.size, rx, in, tx, out)
	if w.arrived < mergeBursts*mergeBurst/2 {
		t.Errorf("%d of %d datagrams arrived", w.arrived, mergeBursts*mergeBurst)
	}
	if rx > w.arrived/2 || whole && tx > w.arrived/2 || !whole && tx < w.arrived {
		t.Errorf("%d datagrams: %d frames from %s, %d frames to %s; want merged frames from the first, and to the second: %t", w.arrived, rx, in, tx, out, whole)
	}
}

// frames returns the numbers of frames that a port received and transmitted.
func (w mergedWay) frames(port string) (rx, tx uint64) {
	for i, p := range w.after.Ports {
		if p.Name == port {
			return p.RxFrames - w.before.Ports[i].RxFrames, p.TxFrames - w.before.Ports[i].TxFrames
		}
	}
	return 0, 0
}

// mergeOneWay sends bursts from one namespace to an address in another one, each while the switch is stopped.
func (l *lab) mergeOneWay(t *testing.T, from, to namespace, address string, size int) mergedWay {
	t.Helper()
	var out *net.UDPConn
	in := listenNumbered(t, to, address, size)
	if err := from.inside(func() (err error) {
		out, err = net.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(address), Port: mergePort})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := mergedWay{size: size, before: l.status()}
	packet, next := make([]byte, size), uint64(0)
	for range mergeBursts {
		l.whileStopped(t, w.before.SwitchPID, func() error {
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

// whileStopped calls work while a process is stopped by SIGSTOP.
func (l *lab) whileStopped(t *testing.T, pid int, work func() error) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	failed := work()
	if err := errors.Join(failed, syscall.Kill(pid, syscall.SIGCONT)); err != nil {
		t.Fatal(err)
	}
}

// fillNumbered fills a datagram with its number and contents that depend on the number.
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
	done          chan error // the first error
}

func listenNumbered(t *testing.T, n namespace, address string, size int) *numbered {
	t.Helper()
	r := &numbered{done: make(chan error, 1)}
	if err := n.inside(func() (err error) {
		r.socket, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(address), Port: mergePort})
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

// receive checks that the numbers of the datagrams increase, and that the contents are unchanged.
func (r *numbered) receive(size int) error {
	packet, want := make([]byte, 1<<16), make([]byte, size)
	var wrong error
	for {
		n, err := r.socket.Read(packet)
		if err != nil {
			return wrong // the socket was closed
		}
		if n < 8 {
			return fmt.Errorf("a datagram of %d bytes", n)
		}
		number := binary.BigEndian.Uint64(packet)
		fillNumbered(want, number)
		switch last := r.last.Load(); {
		case wrong != nil:
		case number <= last:
			wrong = fmt.Errorf("datagram %d arrived after %d", number, last)
		case !bytes.Equal(packet[:n], want):
			wrong = fmt.Errorf("datagram %d of %d bytes arrived as %d bytes: %x", number, size, n, packet[:n])
		}
		r.arrived.Add(1)
		r.last.Store(number)
	}
}

// settle waits until the datagram with a number has arrived, or until none has arrived for mergeSilence, because datagrams were lost.
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
