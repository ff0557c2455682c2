package unixport

import (
	"runtime"
	"testing"
	"weak"

	"github.com/podswitch/podswitch/vswitch"
)

// TestLentMemory shows that no kind of port holds a frame that it has sent: it is another port's, which may be lost.
func TestLentMemory(t *testing.T) {
	for _, kind := range loads {
		l := newLoad(t, kind, 60)
		memory := new([vswitch.MaxFrame]byte)
		l.port.Transmit([]vswitch.Frame{{Data: memory[:60]}, {Data: memory[:60]}})
		if sent := l.port.Counters().TxFrames.Load(); sent != loadFrames+2 {
			t.Fatalf("%s: %d frames were sent, want %d", kind, sent, loadFrames+2)
		}
		lent := weak.Make(memory)
		runtime.GC()
		if lent.Value() != nil {
			t.Errorf("%s: the memory of frames that were sent is held", kind)
		}
		runtime.KeepAlive(l)
	}
}
