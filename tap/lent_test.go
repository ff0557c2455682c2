package tap

import (
	"runtime"
	"testing"
	"weak"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// TestLentMemory: no port keeps a reference to a frame that it has sent, which is another port's memory.
func TestLentMemory(t *testing.T) {
	for _, d := range []Device{
		{Kind: KindPacket, HeaderLen: vnet.Size, Offload: true},
		{Kind: KindPacket, HeaderLen: vnet.Size},
		{Kind: KindTap, HeaderLen: vnet.Size, Offload: true},
		{Kind: KindTap, HeaderLen: 0},
	} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fds[1])
		d.FD = fds[0]
		p := portOf(t, d)
		memory := new([vswitch.MaxFrame]byte)
		p.Transmit([]vswitch.Frame{{Data: memory[:60]}, {Data: memory[:60]}})
		if sent := p.Counters().TxFrames.Load(); sent != 2 {
			t.Fatalf("%+v: %d frames were sent, want 2", d, sent)
		}
		lent := weak.Make(memory)
		runtime.GC()
		if lent.Value() != nil {
			t.Errorf("%+v: the memory of frames that were sent is held", d)
		}
		runtime.KeepAlive(p)
	}
}
