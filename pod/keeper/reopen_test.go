package keeper

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/hypervisor"
)

// receivesUntil receives messages until one of this kind, and returns the descriptor of the uplink that has come last, or before.
func (f *fake) receivesUntil(kind string, before int) (uplink int) {
	f.t.Helper()
	for uplink = before; ; {
		m, files, err := f.Receive()
		if err != nil {
			f.t.Fatalf("%v, want %q", err, kind)
		}
		if m.Opened != nil && m.Opened.Port == 1 {
			uplink = files[0]
		}
		if m.Name() == kind {
			return uplink
		}
	}
}

// TestReopenOfARenamedUplink checks that a switch which asks for the uplink again when it is replaced does not take it from the next one, if the pod
// interface has another name since the uplink was opened.
func TestReopenOfARenamedUplink(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.running()
	ip(t, "link set eth0 name eth7")
	next := k.connect()
	next.sends(takeoverMessage())
	next.receives("grant", 1)
	next.receives("opened", 1)
	_, opened := next.receives("opened", 1)
	f.sends(reopenMessage(1))
	next.sends(readyMessage())
	f.receivesUntil("yield", 0)
	f.sends(yieldedMessage())
	uplink := next.receivesUntil("begin", opened[0])
	k.receivesUplink(t, uplink)
	next.starts(k.testKeeper)
	ip(t, "link set eth7 name eth0")
	next.sends(byeMessage())
	next.receivesEnd("stop", "guest_state", "changed")
	k.wantBack(t)
}

// TestReopenBeforeARecall checks that a switch which has asked for the uplink again gets another one also if the next one ends while it yields.
func TestReopenBeforeARecall(t *testing.T) {
	for name, late := range map[string]bool{"before it is asked to yield": false, "when the next one has ended": true} {
		t.Run(name, func(t *testing.T) {
			k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
			f, next := k.connect(), k.connect()
			f.sends(helloMessage())
			f.receives("grant", 1)
			f.receives("opened", 1)
			_, first := f.receives("opened", 1)
			f.sends(readyMessage())
			f.receives("begin", 0)
			f.starts(k.testKeeper)
			next.sends(takeoverMessage())
			next.receivesGrant()
			if !late {
				f.sends(reopenMessage(1))
			}
			next.sends(readyMessage())
			f.receivesUntil("yield", 0)
			next.Close()
			k.awaitState(recalling)
			if late {
				f.sends(reopenMessage(1))
			}
			f.sends(yieldedMessage())
			again := f.receivesUntil("begin", 0)
			if inode(t, again) == inode(t, first[0]) {
				t.Error("it gets the uplink that it has lost")
			}
			wantEmpty(t, first[0])
			k.receivesUplink(t, again)
			f.starts(k.testKeeper)
			f.sends(byeMessage())
			f.receivesEnd("stop", "guest_state")
			k.wantBack(t)
		})
	}
}

func inode(t *testing.T, fd int) uint64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}
