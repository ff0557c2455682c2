package tap

import (
	"testing"
	"time"

	"github.com/podswitch/podswitch/vswitch"
)

// TestAllocs sends frames through each pair of ports, both ways, with offloads and without: nothing is allocated, also for a
// frame that is cut, and for segments and datagrams that are merged.
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

// segments are two of TCP to be cut between two that are not.
func segments() []vswitch.Frame {
	small, large := tcpFrame(100), tcpFrame(14000)
	dontFragment(large.Data)
	large.Data[47] = 0x10 // ACK
	large.Offload.GSOType, large.Offload.GSOSize, large.Offload.HdrLen = 1, 1400, 54
	return []vswitch.Frame{small, large, large, small}
}

// expectNoAllocs sends frames and receives until so many bytes of payload have come, again and again.
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
	pass() // the first time makes room
	if n := testing.AllocsPerRun(50, pass); n != 0 || fault != nil {
		t.Errorf("offload %t: %v allocations for a batch, %v; want none", offload, n, fault)
	}
	if drops := from.Counters().Drops(); len(drops) > 0 {
		t.Errorf("offload %t: %v", offload, drops)
	}
}
