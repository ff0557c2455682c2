package unixport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// TestHandoverReceived hands over at every byte of a peer's stream: within a frame, and with complete frames that were read and not
// delivered.
func TestHandoverReceived(t *testing.T) {
	frames := [][]byte{frame(14, 1), frame(40, 2), frame(15, 3), frame(77, 4)}
	stream := framed(frames...)
	for name, open := range streamRelays {
		t.Run(name, func(t *testing.T) {
			r, conn := open(t)
			waited := false
			for cut := range len(stream) + 1 {
				whole := len(decodeSlowly(stream[:cut]).frames)
				for delivered := range whole + 1 {
					send(t, conn, stream[:cut])
					r.receive(1, frames[:delivered]...)
					r.handOver()
					waited = waited || len(decodeSlowly(r.rest.Received).frames) > 1
					r.handOver() // without any use between
					send(t, conn, stream[cut:])
					r.receive(vswitch.BatchSize, frames[delivered:]...)
				}
			}
			if !waited {
				t.Error("no handover with frames that were read and not delivered")
			}
			if drops := r.counters.Drops(); len(drops) > 0 {
				t.Errorf("drops %v", drops)
			}
		})
	}
}

// TestHandoverDelivers: an interrupted port delivers no frame that it has read, and the next port delivers it.
func TestHandoverDelivers(t *testing.T) {
	for name, open := range streamRelays {
		r, conn := open(t)
		send(t, conn, framed(frame(60, 1), frame(60, 2), frame(60, 3)))
		r.receive(1, frame(60, 1))
		interrupt(r.Port)
		if n, err := r.Receive([]vswitch.Frame{{}}); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %d frames and %v after Interrupt", name, n, err)
		}
		r.handOver()
		r.receive(2, frame(60, 2), frame(60, 3))
	}
}

// TestHandoverUnsent hands over after each possible part of a frame was sent.
func TestHandoverUnsent(t *testing.T) {
	stream := framed(frame(60, 1))
	for name, open := range streamRelays {
		t.Run(name, func(t *testing.T) {
			r, conn := open(t)
			for cut := 1; cut < len(stream); cut++ {
				rest := r.leave()
				to := r.socket.FD
				if rest.Connection != 0 {
					to = rest.Connection
				}
				if n, err := unix.Write(to, stream[:cut]); n != cut {
					t.Fatal(n, err)
				}
				rest.Unsent, rest.Begun = stream[cut:], 60
				r.start(rest)
				r.Transmit([]vswitch.Frame{{Data: frame(61, 2)}})
				for i := range 2 {
					if f, err := readFrame(conn); err != nil || !bytes.Equal(f, frame(60+i, 1+i)) {
						t.Fatalf("cut at %d: read %d bytes, %v", cut, len(f), err)
					}
				}
			}
			want := uint64(2 * (len(stream) - 1))
			await(t, "all to be counted", func() bool { return r.counters.TxFrames.Load() == want })
			if bytes := r.counters.TxBytes.Load(); bytes != want/2*(60+61) || len(r.counters.Drops()) > 0 {
				t.Errorf("%d bytes and drops %v", bytes, r.counters.Drops())
			}
		})
	}
}

// TestHandoverFull hands over several times while the peer does not read: the peer receives each accepted frame exactly once.
func TestHandoverFull(t *testing.T) {
	for name, open := range streamRelays {
		t.Run(name, func(t *testing.T) {
			r, conn := open(t)
			unsent := 0
			for round := range 8 {
				sizes := []int{40001, 777 + round, 20000}
				var taken [][]byte
				for full := uint64(0); full < 4; { // continue after the first drop
					f := frame(sizes[len(taken)%3], len(taken))
					before := r.counters.Drops()["port-full"]
					r.Transmit([]vswitch.Frame{{Data: f}})
					if lost := r.counters.Drops()["port-full"] - before; lost > 0 {
						full++
						r.handOver()
						unsent += len(r.rest.Unsent)
					} else {
						taken = append(taken, f)
					}
				}
				for i, want := range taken {
					if f, err := readFrame(conn); err != nil || !bytes.Equal(f, want) {
						t.Fatalf("round %d, frame %d of %d: read %d bytes, %v; want %d", round, i, len(taken), len(f), err, len(want))
					}
				}
			}
			if unsent == 0 {
				t.Error("no handover within a frame")
			}
		})
	}
}

// TestHandoverTraffic hands over during traffic both ways.
func TestHandoverTraffic(t *testing.T) {
	const rounds, each = 30, 40
	for name, open := range streamRelays {
		t.Run(name, func(t *testing.T) {
			r, conn := open(t)
			var peer sync.WaitGroup
			defer peer.Wait()
			defer conn.Close()
			sent := func(i int) []byte { return frame(60+i%1400, i) }
			peer.Go(func() {
				for i := range rounds * each {
					if _, err := conn.Write(framed(sent(i))); err != nil {
						t.Errorf("frame %d: %v", i, err)
						return
					}
				}
			})
			peer.Go(func() {
				for i := range rounds * each {
					if f, err := readFrame(conn); err != nil || !bytes.Equal(f, sent(i)) {
						t.Errorf("frame %d: read %d bytes, %v", i, len(f), err)
						return
					}
				}
			})
			for at := 0; at < rounds*each; at += each {
				var work sync.WaitGroup
				work.Go(func() {
					for i := at; i < at+each; { // send a dropped frame again
						before := r.counters.Drops()["port-full"]
						r.Transmit([]vswitch.Frame{{Data: sent(i)}})
						if r.counters.Drops()["port-full"] == before {
							i++
						}
					}
				})
				for i := at; i < at+each; i++ {
					r.receive(1, sent(i))
				}
				work.Wait()
				r.handOver()
			}
			peer.Wait()
		})
	}
}

// TestHandoverDgramPeer: the next port sends to the learned peer without another frame from it, whatever its name.
func TestHandoverDgramPeer(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "peer"), "@podswitch-test-" + filepath.Base(t.TempDir())} {
		path := filepath.Join(t.TempDir(), "port")
		s, file, err := Bind(path, "", -1)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r := newRelay(t, s, Options{})
		r.handOver()
		if r.rest.Peer != nil {
			t.Errorf("a peer that has never sent: %q", r.rest.Peer)
		}
		conn := peerAt(t, name, path)
		send(t, conn, frame(60, 1))
		r.receive(1, frame(60, 1))
		for range 2 {
			r.handOver()
			r.Transmit([]vswitch.Frame{{Data: frame(60, 2)}})
			wantDatagram(t, conn, frame(60, 2))
		}
		send(t, conn, frame(60, 3)) // stays queued in the kernel during the handover
		r.handOver()
		r.receive(1, frame(60, 3))
		other := peerAt(t, filepath.Join(t.TempDir(), "other"), path)
		send(t, other, frame(60, 4))
		r.receive(1, frame(60, 4))
		r.Transmit([]vswitch.Frame{{Data: frame(60, 5)}})
		wantDatagram(t, other, frame(60, 5))
	}
}

// TestHandoverSilence: a stream port sends nothing after StateOf.
func TestHandoverSilence(t *testing.T) {
	for name, open := range streamRelays {
		r, conn := open(t)
		interrupt(r.Port)
		rest, ok := StateOf(r.Port)
		if !ok || rest.Connection != 0 != (name == "listening") {
			t.Fatalf("%+v, %t", rest, ok)
		}
		r.Transmit([]vswitch.Frame{{Data: frame(60, 1)}, {Data: frame(60, 1)}})
		if drops := r.counters.Drops(); drops["port-down"] != 2 {
			t.Errorf("drops %v, want 2 as port-down", drops)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if name == "connected" { // another descriptor of it is still open
			if err := unix.Shutdown(r.socket.FD, unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := conn.Read([]byte{0}); n != 0 || err != io.EOF {
			t.Errorf("%d bytes, %v; want nothing and the end", n, err)
		}
	}
}
