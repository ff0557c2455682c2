package tap

import (
	"os"
	"testing"
)

// TestFailedOpens opens a tap that another descriptor has open, and one with an MTU that the kernel refuses. No descriptor stays open, so
// that the tap can be opened once the cause is removed.
func TestFailedOpens(t *testing.T) {
	for _, offload := range []bool{true, false} {
		inNamespace(t, func(t *testing.T) {
			fail := func(name string, mtu int) {
				d, err := OpenDevice(Spec{KindTap, name}, Options{Offload: offload, MTU: mtu})
				if err == nil {
					d.Close()
					t.Errorf("%s with MTU %d was opened", name, mtu)
				}
			}
			held := open(t, Spec{KindTap, "tap9"}, offload)
			fail("tap9", 0)
			before := descriptors(t)
			for range 10 {
				fail("tap9", 0)
				fail("tap8", 1<<20)
			}
			if after := descriptors(t); after != before {
				t.Errorf("offload %t: %d descriptors are open, before %d", offload, after, before)
			}
			held.Close()
			open(t, Spec{KindTap, "tap9"}, offload)
			open(t, Spec{KindTap, "tap8"}, offload)
		})
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Error(err)
	}
	return len(list)
}
