package tap

import (
	"bytes"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// TestRefusedDatagrams sends frames of several datagrams that this kernel refuses because of a wrong checksum offset, as other kernels
// refuse correct ones. The pieces leave, and so do the frames before and behind them. The wrong offset overwrites the first bytes of each
// piece's UDP header.
func TestRefusedDatagrams(t *testing.T) {
	alone := vswitch.Frame{Data: bytes.Repeat([]byte{1, 2}, 30)}
	bad := udpFrame(10, 100, 1)
	bad.Offload.CsumOffset = 0
	inNamespace(t, func(t *testing.T) {
		for _, pair := range openPairs(t, true) {
			pair[0].Transmit([]vswitch.Frame{alone, bad, alone})
			if sent := pair[0].Counters().TxFrames.Load(); sent != 12 {
				t.Errorf("%d frames were sent, want 10 pieces and 2 others; drops %v", sent, pair[0].Counters().Drops())
			}
			want := append(append([]vswitch.Frame{alone}, cutUp(bad)...), alone)
			expectFrames(t, pair[1], want)
		}
	})
}

// expectFrames receives the frames in order, and ignores the kernel's own frames.
func expectFrames(t *testing.T, p vswitch.Port, want []vswitch.Frame) {
	t.Helper()
	batch := make([]vswitch.Frame, vswitch.BatchSize)
	for len(want) > 0 {
		n, err := p.Receive(batch)
		if err != nil {
			t.Errorf("Receive: %v; %d frames are missing", err, len(want))
			return
		}
		for _, f := range batch[:n] {
			if len(want) > 0 && bytes.Equal(f.Data, want[0].Data) {
				want = want[1:]
			}
		}
	}
}

// TestRefusedPieces counts pieces that the kernel refuses, too.
func TestRefusedPieces(t *testing.T) {
	f, counters := udpFrame(10, 100, 1), new(vswitch.Counters)
	if !isRefused(unix.EINVAL, &f) || isRefused(unix.ENOBUFS, &f) || isRefused(unix.EINVAL, &vswitch.Frame{}) {
		t.Error("what is refused for being several datagrams is told wrong")
	}
	sendCut(&f, counters, func(piece *vswitch.Frame) syscall.Errno {
		if piece.Offload != (vnet.Header{}) {
			t.Errorf("a piece with %+v", piece.Offload)
		}
		return unix.ENOBUFS
	})
	if drops := counters.Drops(); len(drops) != 1 || drops[vswitch.PortFull.String()] != 10 {
		t.Errorf("drops %v, want 10 of %s", drops, vswitch.PortFull)
	}
}
