package keeper

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/tap"
)

// TestReopenMemory plays a switch that asks for its uplink again and again, keeps each socket, and never reads: only the last one has frames, so
// that the kernel's memory for all of them is that of one queue. Without the revocation it was 8 MiB more with each.
func TestReopenMemory(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.connect()
	f.sends(helloMessage())
	f.receives("grant", 1)
	f.receives("opened", 1)
	f.receives("opened", 1)
	f.sends(readyMessage())
	f.receives("begin", 0)
	f.starts(k.testKeeper)
	const sockets = reopenBurst / 2
	var one int
	for i := range sockets {
		f.sends(reopenMessage(1))
		f.receives("opened", 1)
		k.fillsUplink(t)
		queues, filled := packetQueues(t)
		if one = max(one, queues); i == 0 && one < 4<<20 {
			t.Fatalf("a full queue has %d bytes, want megabytes", one)
		}
		if queues > 10<<20 || filled != 1 {
			t.Fatalf("after %d sockets, %d of them have frames of %d bytes, want those of one queue", i+1, filled, queues)
		}
	}
	t.Logf("%d sockets of a switch, at most %d KiB of frames in the kernel", sockets, one>>10)
	f.Close()
	k.wantBack(t)
}

// fillsUplink makes the other end of the uplink send more than a queue holds.
func (p *podKeeper) fillsUplink(t *testing.T) {
	t.Helper()
	node, err := tap.OpenDevice(tap.Spec{Kind: tap.KindPacket, Name: "node0"}, tap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(node.FD)
	frame := make([]byte, node.HeaderLen+1500)
	copy(frame[node.HeaderLen:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6})
	for sent := 0; sent < 16<<20; sent += len(frame) {
		if _, err := unix.Write(node.FD, frame); err != nil && err != unix.EAGAIN && err != unix.ENOBUFS {
			t.Fatal(err)
		}
	}
}

// packetQueues returns the bytes of frames in the queues of all packet sockets of this network namespace, and how many have 64 KiB or more.
func packetQueues(t *testing.T) (bytes, filled int) {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/packet")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n")[1:] {
		fields := strings.Fields(line) // sk RefCnt Type Proto Iface R Rmem User Inode
		if len(fields) < 9 {
			continue
		}
		n, err := strconv.Atoi(fields[6])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if bytes += n; n >= 64<<10 {
			filled++
		}
	}
	return bytes, filled
}
