package e2e

import (
	"fmt"
	"testing"
)

// TestMemory checks that keeper, switch and watchdog together have at most 28 MiB of anonymous memory with one guest, before traffic and
// after a gigabyte each way. How much of the program's file is mapped beside it depends on the kernel and the file system: since Linux 6.18 a
// page fault maps the whole folio of the page cache.
func TestMemory(t *testing.T) {
	const most = 28 << 10 // KiB
	l := newLab(t)
	p := l.podswitch()
	l.leased()
	within := func(when string) {
		t.Helper()
		await(t, "at most 28 MiB of memory "+when, func() error { // memory that only the start needs is released a second later
			sum, each := 0, map[string]int{}
			for _, m := range p.members() {
				each[m.role] = memoryKiB(t, m.pid, "RssAnon")
				sum += each[m.role]
			}
			if len(each) != 3 || sum > most {
				return fmt.Errorf("%d KiB %v, want at most %d KiB in three processes", sum, each, most)
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
