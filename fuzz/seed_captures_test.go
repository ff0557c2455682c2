package fuzz

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vswitch"
)

// captured returns the captures of testdata/captures as seeds: real traffic of a pod and its gateway, of a guest, and of DHCP clients
// (testdata/captures/README.md). The source of the first frame is the guest; all other sources are on the wire.
func captured(t testing.TB) (seeds []seed) {
	t.Helper()
	files, err := filepath.Glob("testdata/captures/*.pcap")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures in testdata/captures (%v)", err)
	}
	for _, path := range files {
		frames := framesOf(t, path)
		seeds = append(seeds, seed{filepath.Base(path), func(w *writer) {
			guest := vswitch.MAC(frames[0][6:])
			for _, data := range frames {
				port := vswitch.PortUplink
				if vswitch.MAC(data[6:]) == guest {
					port = vswitch.PortGuest
				}
				w.raw(port, 1, vswitch.Frame{Data: data})
			}
		}})
	}
	return seeds
}

func framesOf(t testing.TB, path string) (frames [][]byte) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	capture, err := replay.NewReader(file)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for {
		p, err := capture.Next()
		if err == io.EOF && len(frames) > 0 {
			return frames
		}
		if err != nil || len(p.Frame.Data) < 14 {
			t.Fatalf("%s: packet %d has %d bytes (%v): want frames", path, p.Number, len(p.Frame.Data), err)
		}
		frames = append(frames, p.Frame.Data)
	}
}
