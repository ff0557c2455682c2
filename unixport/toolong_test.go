package unixport

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

// TestTooLong: nothing of a frame above vswitch.MaxFrame is sent, and the frames around it are.
func TestTooLong(t *testing.T) {
	const tagged = vswitch.MaxFrame + 4 // the largest frame with a restored VLAN tag
	for _, sizes := range [][]int{
		{tagged},
		{60, tagged},
		{tagged, 60},
		{60, 61, tagged, 62, 63},
		{tagged, tagged, 60, vswitch.MaxFrame + 1, tagged, 61, vswitch.MaxFrame, tagged},
		slices.Repeat([]int{tagged, 60, tagged}, 2*burst),
	} {
		for _, kind := range loads {
			l := newLoad(t, kind, 60)
			out, want := l.tooLong(sizes)
			before := l.port.Counters().TxFrames.Load()
			l.port.Transmit(out)
			counters := l.port.Counters()
			sent, drops := counters.TxFrames.Load()-before, counters.Drops()
			if drops["too-big"] != uint64(len(sizes)-len(want)) || sent+drops["port-full"] != uint64(len(want)) {
				t.Fatalf("%s: of %d frames %d were sent, and drops %v; want %d and %d too-big", kind, len(sizes), sent, drops, len(want), len(sizes)-len(want))
			}
			l.wantFrames(t, kind, want[:sent])
		}
	}
}

// tooLong returns frames, and those of them that may be sent.
func (l *load) tooLong(sizes []int) (out []vswitch.Frame, fit [][]byte) {
	for i, n := range sizes {
		f := frame(n, i)
		out = append(out, vswitch.Frame{Data: f})
		if n <= vswitch.MaxFrame {
			fit = append(fit, f)
		}
	}
	return out, fit
}

// wantFrames expects the peer to receive the frames.
func (l *load) wantFrames(t *testing.T, kind string, want [][]byte) {
	t.Helper()
	for i, f := range want {
		if !strings.HasSuffix(kind, "stream") {
			wantDatagram(t, l.peer, f)
		} else if got, err := readFrame(l.peer); err != nil || !bytes.Equal(got, f) {
			t.Fatalf("%s: frame %d: read %d bytes, %v; want %d", kind, i, len(got), err, len(f))
		}
	}
}
