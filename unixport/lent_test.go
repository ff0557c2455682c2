package unixport

import (
	"runtime"
	"testing"
	"weak"

	"github.com/podswitch/podswitch/vswitch"
)

// TestLentMemory: no port keeps a reference to a frame that it has sent, which is another port's memory.
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
