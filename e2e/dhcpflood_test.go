package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDiscoverFlood sends 100,000 DISCOVERs from as many MACs, 20,000 a second: podswitch reads them, grows by at most 16 MiB
// at its peak, and the guest gets its lease within a second of asking, during the flood and afterwards. At least a
// quarter of the flood is answered with offers, because nobody has the lease yet.
func TestDiscoverFlood(t *testing.T) {
	const count = 100_000
	need(t, "nft")
	l := newLab(t)
	p := l.podswitch()
	l.plugGuest()
	// A network card takes only frames for its own MAC. On a tap the client would have to read the offers to all others.
	l.guest.must("nft", "add table netdev card; add chain netdev card in { type filter hook ingress device tap0 priority 0; }; "+
		"add rule netdev card in meta pkttype other drop")
	switching := p.member(switchRole).pid
	before := memoryKiB(t, switching, "VmHWM")
	flood := l.guest.start(l.guest.as("dhcp-flood", "tap0", strconv.Itoa(count))...)
	await(t, "offers to a quarter of the flood", func() error {
		if _, offers := l.guestFrames(); offers < count/4 {
			return fmt.Errorf("%d frames to the guest", offers)
		}
		return nil
	})
	during := l.asks(3)
	select {
	case <-flood.done:
		t.Errorf("the flood ended before the guest had its lease: %s", flood.text())
	default:
	}
	if code := flood.wait(); code != 0 {
		t.Fatalf("flood: exit code %d\n%s", code, flood.text())
	}
	for when, took := range map[string]time.Duration{"during": during, "after": l.asks(3)} {
		if took > time.Second {
			t.Errorf("%s the flood the lease took %s, want at most a second", when, took)
		}
	}
	if peak := memoryKiB(t, switching, "VmHWM"); peak > before+16<<10 {
		t.Errorf("podswitch has grown from %d to %d KiB, want at most 16 MiB more", before, peak)
	}
	if read, _ := l.guestFrames(); read < count*9/10 {
		t.Errorf("podswitch has read %d frames of the flood, want at least nine in ten of %d", read, count)
	}
	p.stop()
}

// guestFrames says how many frames podswitch has read from the guest, and written to it.
func (l *lab) guestFrames() (read, written uint64) {
	l.t.Helper()
	for _, port := range l.status().Ports {
		if port.Name == "guest" {
			return port.RxFrames, port.TxFrames
		}
	}
	l.t.Fatal("status has no port guest")
	return 0, 0
}

// asks gets a lease several times and returns how long the middle one took: a client that loses a datagram, and on a busy
// machine one does, waits for a whole second.
func (l *lab) asks(times int) time.Duration {
	l.t.Helper()
	took := make([]time.Duration, times)
	for i := range took {
		asked := time.Now()
		l.udhcpc("tap0")
		took[i] = time.Since(asked)
	}
	slices.Sort(took)
	return took[times/2]
}

// memoryKiB is a process's VmRSS, what it has in memory, or VmHWM, the peak of that (proc_pid_status(5)).
func memoryKiB(t *testing.T, pid int, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), name+":")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

// dhcpFlood sends DISCOVERs, each from another MAC, 20 a millisecond: a tap's queue drops what comes faster than it is read:
// dhcp-flood DEVICE COUNT.
func dhcpFlood(args []string) error {
	const burst = 20
	link, err := net.InterfaceByName(args[0])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return err
	}
	to, frame := &unix.SockaddrLinklayer{Ifindex: link.Index}, discoverFrame()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for i := range count {
		if i%burst == 0 {
			<-ticker.C
		}
		mac := binary.BigEndian.AppendUint64(nil, rand.Uint64())[:6]
		mac[0] = mac[0]&^1 | 2 // unicast, locally administered
		copy(frame[6:], mac)
		copy(frame[14+20+8+28:], mac)
		if err := unix.Sendto(fd, frame, 0, to); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
	return nil
}

// discoverFrame is a broadcast DISCOVER without the MACs. Its UDP checksum is 0, "none" (RFC 768).
func discoverFrame() []byte {
	dhcp := make([]byte, 300)
	copy(dhcp, []byte{1, 1, 6})
	copy(dhcp[236:], []byte{0x63, 0x82, 0x53, 0x63, 53, 1, 1, 55, 4, 1, 3, 6, 121, 255})
	udp := append([]byte{0, 68, 0, 67, 1, 0x34, 0, 0}, dhcp...)
	ip := []byte{0x45, 0, 1, 0x48, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum>>16+sum&0xffff))
	ethernet := []byte{255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 8, 0}
	return slices.Concat(ethernet, ip, udp)
}
