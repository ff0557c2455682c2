package vnet_test

import (
	"bytes"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// FuzzOffload: whatever header comes with whatever frame, an accepted one is safe to work with, its pieces fit, hold every
// byte once, and completing it never touches what a forwarder decides on.
func FuzzOffload(f *testing.F) {
	seed := func(_ string, h vnet.Header, frame []byte) {
		b := make([]byte, vnet.Size)
		h.Encode(b)
		f.Add(b, frame, uint16(600))
	}
	seed("empty frame", vnet.Header{}, nil)
	seed("gso_size 0", tcp4.gso(0), tcp4.frame())
	seed("gso_size 1", tcp4.gso(1), packet{protocol: tcp, payload: 40}.frame())
	seed("csum_start odd", with(tcp4.gso(1000), func(h *vnet.Header) { h.CsumStart++ }), tcp4.frame())
	seed("csum_start beyond", with(tcp4.gso(1000), func(h *vnet.Header) { h.CsumStart = 65535 }), tcp4.frame())
	seed("hdr_len below csum_start", with(tcp4.gso(1000), func(h *vnet.Header) { h.HdrLen = 20 }), tcp4.frame())
	seed("gso_type unknown", with(tcp4.gso(1000), func(h *vnet.Header) { h.GSOType = 2 }), tcp4.frame())
	seed("IPv6 extension, tags", packet{tags: twoTags, v6: true, protocol: tcp, extensions: hopByHop, payload: 99}.gso(9),
		packet{tags: twoTags, v6: true, protocol: tcp, extensions: hopByHop, payload: 99}.frame())
	seed("UDP, options, padding", udp6.gso(1000), packet{protocol: udp, options: routerAlert, payload: 20, padding: 3}.frame())

	f.Fuzz(func(t *testing.T, header, frame []byte, mtu uint16) {
		if len(header) < vnet.Size || len(frame) > 4096 {
			return
		}
		fuzzSplit(t, frame, int(mtu))
		h := vnet.Decode(header)
		if !vnet.Check(&h, frame) {
			return
		}
		again := h
		if !vnet.Check(&again, frame) || again != h {
			t.Fatalf("checked twice, %+v becomes %+v", h, again)
		}
		fuzzCut(t, h, frame)
		done := append([]byte(nil), frame...)
		if left := vnet.Complete(h, done); left.Flags&vnet.FlagNeedsChecksum != 0 || left.GSOType != vnet.GSONone {
			t.Fatalf("Complete leaves %+v", left)
		}
		if start := int(h.CsumStart); !bytes.Equal(done[:start], frame[:start]) {
			t.Fatal("Complete changed what stands before the checksum's range")
		}
	})
}

func fuzzCut(t *testing.T, h vnet.Header, frame []byte) {
	before := append([]byte(nil), frame...)
	dst := make([]byte, vnet.WireLen(h, frame))
	payload, headers := 0, int(h.HdrLen)
	segments := vnet.Cut(h, frame)
	for !segments.Done() {
		n := segments.Next(dst)
		if n == 0 && len(frame) > 0 {
			t.Fatalf("WireLen of %d bytes is not enough", len(dst))
		}
		if h.GSOType != vnet.GSONone && !bytes.Equal(dst[headers:n], frame[headers+payload:][:n-headers]) {
			t.Fatal("a segment has another payload")
		}
		payload += n - headers
	}
	if payload > len(frame)-headers || !bytes.Equal(frame, before) {
		t.Fatal("more payload than there was, or the frame changed")
	}
}

func fuzzSplit(t *testing.T, frame []byte, mtu int) {
	fragments, ok := vnet.Split(frame, mtu)
	if !ok {
		return
	}
	dst := make([]byte, 14+8+mtu)
	for !fragments.Done() {
		if fragments.Next(dst) == 0 {
			t.Fatalf("%d bytes are not enough for an MTU of %d", len(dst), mtu)
		}
	}
}
