package tap

import (
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// TestAllocs sends frames through each pair of ports, both ways, with offloads and without. No frame causes an allocation, also if it
// is cut or merged.
func TestAllocs(t *testing.T) {
	for _, offload := range []bool{true, false} {
		inNamespace(t, func(t *testing.T) {
			for _, pair := range openPairs(t, offload) {
				expectNoAllocs(t, pair[0], pair[1], offload, segments(), 2*14000)
				expectNoAllocs(t, pair[0], pair[1], offload, cutUp(udpFrame(30, 18, 0)), 30*18)
			}
		})
	}
}

// segments returns two TCP segments to cut between two small ones.
func segments() []vswitch.Frame {
	small, large := tcpFrame(100), tcpFrame(14000)
	dontFragment(large.Data)
	large.Data[47] = 0x10 // ACK
	large.Offload.GSOType, large.Offload.GSOSize, large.Offload.HdrLen = 1, 1400, 54
	return []vswitch.Frame{small, large, large, small}
}

// expectNoAllocs repeatedly sends frames and receives that number of payload bytes, and expects no allocation.
func expectNoAllocs(t *testing.T, from, to vswitch.Port, offload bool, out []vswitch.Frame, payload int) {
	t.Helper()
	in, headers := make([]vswitch.Frame, vswitch.BatchSize), 54
	if out[0].Data[23] == 17 {
		headers = 42
	}
	timer := time.AfterFunc(30*time.Second, func() { to.Close() })
	defer timer.Stop()
	var fault error
	pass := func() {
		from.Transmit(out)
		for bytes := 0; bytes < payload && fault == nil; {
			n, err := to.Receive(in)
			fault = err
			for _, f := range in[:n] {
				bytes += len(f.Data) - headers
			}
		}
	}
	pass() // the first pass grows the buffers
	if n := testing.AllocsPerRun(50, pass); n != 0 || fault != nil {
		t.Errorf("offload %t: %v allocations for a batch, %v; want none", offload, n, fault)
	}
	if drops := from.Counters().Drops(); len(drops) > 0 {
		t.Errorf("offload %t: %v", offload, drops)
	}
}
