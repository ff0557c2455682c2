package e2e

import (
	"fmt"
	"testing"
)

// TestMemory checks that keeper, switch and watchdog together hold at most 32 MiB with one guest, pages that they share counted for
// each, before traffic and after a gigabyte each way.
func TestMemory(t *testing.T) {
	const most = 32 << 10 // KiB
	l := newLab(t)
	p := l.podswitch()
	l.leased()
	within := func(when string) {
		t.Helper()
		await(t, "little memory "+when, func() error { // what starting up has touched is let go a second later
			sum, each := 0, map[string]int{}
			for _, m := range p.members() {
				each[m.role] = memoryKiB(t, m.pid, "VmRSS")
				sum += each[m.role]
			}
			if len(each) != 3 || sum > most {
				return fmt.Errorf("%d KiB %v, want at most %d of three processes", sum, each, most)
			}
			t.Logf("%s: %d KiB %v", when, sum, each)
			return nil
		})
	}
	within("with a guest")
	l.exchangeAll(t, l.guest, l.peer, peerAddress)
	l.exchangeAll(t, l.peer, l.guest, podAddress)
	within("after traffic")
	p.stop()
}
