package tap

import (
	"runtime"
	"testing"
	"weak"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// TestLentMemory shows that a packet socket holds no frame that it has sent: it is another port's, which may be lost.
func TestLentMemory(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	p, err := newPacket(fds[0], 0, new(vswitch.Counters))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	memory := new([vswitch.MaxFrame]byte)
	p.Transmit([]vswitch.Frame{{Data: memory[:60]}, {Data: memory[:60]}})
	if sent := p.Counters().TxFrames.Load(); sent != 2 {
		t.Fatalf("%d frames were sent, want 2", sent)
	}
	lent := weak.Make(memory)
	runtime.GC()
	if lent.Value() != nil {
		t.Error("the memory of frames that were sent is held")
	}
	runtime.KeepAlive(p)
}
