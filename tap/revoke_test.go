package tap

import (
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A revocation is a packet socket at v0 as two processes have it, and the other end of the pair.
type revocation struct {
	t           *testing.T
	keeper      Device
	peer, other int // descriptors
	v0          *unix.SockaddrLinklayer
}

func newRevocation(t *testing.T) *revocation {
	t.Helper()
	veth(t, "1500")
	link, err := net.InterfaceByName("v0")
	if err != nil {
		t.Fatal(err)
	}
	r := &revocation{t: t, keeper: openFor(t, "v0"), v0: &unix.SockaddrLinklayer{Ifindex: link.Index}}
	r.peer, r.other = duplicate(t, r.keeper).FD, openFor(t, "v1").FD
	t.Cleanup(func() { _ = errors.Join(r.keeper.Close(), unix.Close(r.peer), unix.Close(r.other)) })
	return r
}

// openFor opens a packet socket for the frames of the test: the kernel sends others.
func openFor(t *testing.T, name string) Device {
	t.Helper()
	d, err := OpenDevice(Spec{KindPacket, name}, Options{Offload: true, Ethertypes: []uint16{testEthertype}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const testEthertype = 0x88b5 // for experiments (IEEE 802)

// frame is one with an offload header.
func (r *revocation) frame() []byte {
	return append(make([]byte, r.keeper.HeaderLen), typedFrame(testEthertype)...)
}

// arrives sends a frame from one socket, and reports whether the other one has one.
func (r *revocation) arrives(from, to int, address unix.Sockaddr) bool {
	_ = unix.Sendto(from, r.frame(), 0, address)
	_, _, err := unix.Recvfrom(to, make([]byte, 2048), unix.MSG_DONTWAIT)
	return err == nil
}

// TestRevoke checks that no process receives or sends anything with a socket that was revoked.
func TestRevoke(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		r := newRevocation(t)
		if !r.arrives(r.other, r.peer, nil) || !r.arrives(r.peer, r.other, nil) || !r.arrives(r.peer, r.other, r.v0) {
			t.Error("nothing arrives before")
		}
		if err := unix.Sendto(r.other, r.frame(), 0, nil); err != nil {
			t.Error(err)
		}
		if err := r.keeper.Revoke(); err != nil {
			t.Error(err)
		}
		if _, _, err := unix.Recvfrom(r.peer, make([]byte, 2048), unix.MSG_DONTWAIT); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("receives what was in the queue: %v", err)
		}
		if r.arrives(r.other, r.peer, nil) {
			t.Error("receives")
		}
		if r.arrives(r.peer, r.other, nil) || r.arrives(r.peer, r.other, r.v0) {
			t.Error("sends")
		}
	})
}

// TestRevokePrepared checks what a process without a sandbox that has prepared a socket keeps of it, and that the error says so.
func TestRevokePrepared(t *testing.T) {
	for _, test := range []struct {
		name     string
		prepare  func(t *testing.T, fd int)
		failed   string
		receives bool
		sends    bool
	}{
		{"a locked filter", func(t *testing.T, fd int) {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1); err != nil {
				t.Error(err)
			}
		}, "SO_ATTACH_FILTER", true, false},
		{"a mapped ring", func(t *testing.T, fd int) {
			if err := (Device{FD: fd}).blockSending(); err != nil {
				t.Error(err)
			}
			if _, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_SHARED); err != nil {
				t.Error(err)
			}
		}, "PACKET_TX_RING", false, false}, // this ring is as small as the one of Revoke
		{"a group", func(t *testing.T, fd int) {
			if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, 1); err != nil {
				t.Error(err)
			}
		}, "", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			inNamespace(t, func(t *testing.T) {
				r := newRevocation(t)
				test.prepare(t, r.peer)
				_ = unix.Sendto(r.other, r.frame(), 0, nil)
				switch err := r.keeper.Revoke(); {
				case test.failed == "" && err != nil, test.failed != "" && (err == nil || !strings.Contains(err.Error(), test.failed)):
					t.Errorf("%v, want %q", err, test.failed)
				}
				if got := r.arrives(r.other, r.peer, nil); got != test.receives {
					t.Errorf("receives: %t", got)
				}
				if got := r.arrives(r.peer, r.other, r.v0); got != test.sends {
					t.Errorf("sends: %t", got)
				}
				r.wantShortQueue()
			})
		})
	}
}

// wantShortQueue checks that the queue holds less than a large frame, until the peer raises that.
func (r *revocation) wantShortQueue() {
	r.t.Helper()
	if size, err := unix.GetsockoptInt(r.peer, unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil || size > 4096 {
		r.t.Errorf("the queue of a revoked socket may have %d bytes: %v", size, err)
	}
}
