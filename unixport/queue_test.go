package unixport

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

// dgramOf returns the port under test.
func dgramOf(p *testPort) *dgramPort { return p.Port.(*filePort).Port.(*dgramPort) }

// A peer that reads gets every frame of many batches, although its queue is shorter than one batch.
func TestDgramWaitsForReader(t *testing.T) {
	remote := filepath.Join(t.TempDir(), "peer")
	p := dgramPortFor(t, remote)
	dgramOf(p).rest = func() { // without a bound in time: the test's machine may be busy
		dgramOf(p).rests = mostRests
		runtime.Gosched()
	}
	conn := peerAt(t, remote, p.path)
	const batches = 100
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range batches * vswitch.BatchSize {
			wantDatagram(t, conn, frame(60, i))
		}
	}()
	for b := range batches {
		var batch [][]byte
		for i := range vswitch.BatchSize {
			batch = append(batch, frame(60, b*vswitch.BatchSize+i))
		}
		p.transmit(batch...)
	}
	<-done
	p.wantDrops(vswitch.PortFull, 0)
}

// A peer that does not read is waited for once, a bounded number of times, and again after it has read.
func TestDgramWaitIsBounded(t *testing.T) {
	remote := filepath.Join(t.TempDir(), "peer")
	p := dgramPortFor(t, remote)
	conn := peerAt(t, remote, p.path)
	rests := 0
	dgramOf(p).rest = func() { rests++ }
	for i := 0; !dgramOf(p).stuck; i++ {
		if p.transmit(frame(60, 1)); i > 1<<16 {
			t.Fatal("the port never waits")
		}
	}
	for range 10 {
		p.transmit(frame(60, 1), frame(60, 1))
	}
	if rests != mostRests {
		t.Fatalf("%d rests for a peer that does not read, want %d", rests, mostRests)
	}
	wantDatagram(t, conn, frame(60, 1))
	for range 3 {
		p.transmit(frame(60, 1))
	}
	if rests != 2*mostRests {
		t.Fatalf("%d rests after the peer has read once, want %d", rests, 2*mostRests)
	}
}

func TestRaiseQueue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "max_dgram_qlen")
	if _, err := raiseQueue(file); !os.IsNotExist(err) {
		t.Errorf("without the file: %v", err)
	}
	for _, test := range []struct {
		have, want string
		before     int
	}{{"10\n", "512", 10}, {"512\n", "512\n", 512}, {"4096", "4096", 4096}} {
		if err := os.WriteFile(file, []byte(test.have), 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := raiseQueue(file)
		if got, _ := os.ReadFile(file); string(got) != test.want || before != test.before || err != nil {
			t.Errorf("%q becomes %q, before %d, %v", test.have, got, before, err)
		}
	}
}
