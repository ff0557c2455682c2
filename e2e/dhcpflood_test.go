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

// TestDiscoverFlood sends 100,000 DISCOVERs from as many MACs at 20,000 a second. podswitch reads them, its peak memory grows by at most
// 16 MiB, and the guest gets its lease within a second during the flood and afterwards. Before that, at least a quarter of the flood is
// answered with offers, because the lease is free.
func TestDiscoverFlood(t *testing.T) {
	const count = 100_000
	need(t, "nft")
	l := newLab(t)
	p := l.podswitch()
	l.plugGuest()
	// A network card receives only frames for its own MAC. Without this rule, the client would read the offers to all MACs of the flood.
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
	during := l.leaseTime(3)
	select {
	case <-flood.done:
		t.Errorf("the flood ended before the guest had its lease: %s", flood.text())
	default:
	}
	if code := flood.wait(); code != 0 {
		t.Fatalf("flood: exit code %d\n%s", code, flood.text())
	}
	for when, took := range map[string]time.Duration{"during": during, "after": l.leaseTime(3)} {
		if took > time.Second {
			t.Errorf("%s the flood, the lease took %s, want at most 1 s", when, took)
		}
	}
	if peak := memoryKiB(t, switching, "VmHWM"); peak > before+16<<10 {
		t.Errorf("the peak memory of the switch grew from %d to %d KiB, want at most 16 MiB more", before, peak)
	}
	if read, _ := l.guestFrames(); read < count*9/10 {
		t.Errorf("podswitch has read %d frames of the flood, want at least 90 %% of %d", read, count)
	}
	p.stop()
}

// guestFrames returns the numbers of frames that podswitch has read from the guest and written to it.
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

// leaseTime gets a lease several times and returns the median of the durations. A client that loses a datagram, which happens on a busy
// machine, waits a second before it sends again.
func (l *lab) leaseTime(times int) time.Duration {
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

// memoryKiB reads a size from a process's status, such as VmRSS, its resident memory, or VmHWM, the peak of that (proc_pid_status(5)).
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

// dhcpFlood sends DISCOVERs, each from another MAC: dhcp-flood DEVICE COUNT. It sends 20 a millisecond, because a tap's queue drops frames
// that arrive faster than they are read.
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

// discoverFrame returns a broadcast DISCOVER without the MACs. Its UDP checksum is 0, which means none (RFC 768).
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
