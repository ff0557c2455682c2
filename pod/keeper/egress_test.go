package keeper

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
)

// TestEgressMayFail checks that a guest gets its network also if the way out of the pod's processes cannot be opened.
func TestEgressMayFail(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	r := &resources{cfg: &Config{Log: zap.New(core), Switch: &SwitchConfig{NoMerge: true}}, lent: true}
	bad := portSpec{name: "egress", spec: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "a-name-that-is-too-long"}, egress: &podnet.Egress{}}
	if err := r.openAll(bad); err != nil || len(r.ports) != 1 || r.ports[0].handle != nil {
		t.Fatalf("%v, %+v", err, r.ports)
	}
	if logs.FilterMessageSnippet("do not reach other hosts").Len() != 1 {
		t.Errorf("log: %v", logs.All())
	}
	bad.egress = nil
	if err := r.openAll(bad); err == nil {
		t.Error("another port may fail, too")
	}
}

// TestEgressIsRemoved checks that no tap and no route of the pod's way out is left after a switch that keeps its descriptors, also where the
// address is muted and where the keeper was killed, and that the uplink is revoked then.
func TestEgressIsRemoved(t *testing.T) {
	for _, test := range []struct{ isMuted, isKilled bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
			made := []*exec.Cmd{nil} // the first one stays
			k.inside(func() {
				k.loop.cfg.Watchdog, k.loop.cfg.Pod.Mute = watchdogRole(&made), test.isMuted
				k.loop.cfg.Pod.KeptPorts = []plan.KeptPort{{Network: "tcp", Port: 22, Direct: true}}
			})
			f := k.connect()
			f.sends(helloMessage())
			m, _ := f.receives("grant", 1)
			if len(m.Grant.Ports) != 3 {
				t.Skipf("no way out: %v", k.seen.All())
			}
			f.receives("opened", 1)
			_, uplink := f.receives("opened", 1)
			_, egress := f.receives("opened", 1)
			f.sends(readyMessage())
			f.receives("begin", 0)
			f.starts(k.testKeeper)
			f.sends(reopenMessage(2)) // although the first descriptor stays open
			f.receives("opened", 1)
			if err := unix.IoctlSetInt(egress[0], unix.TUNSETSNDBUF, 1); !errors.Is(err, unix.EBADFD) {
				t.Errorf("the tap that is replaced can be used: %v", err)
			}
			if !test.isKilled {
				f.sends(byeMessage())
				f.receivesEnd("stop", "guest_state", "changed")
				k.wantBack(t)
			} else {
				k.killsWatched()
				wantEmpty(t, uplink[0])
			}
			for _, r := range tapRoutes(t) {
				t.Errorf("left: %s", r)
			}
			if test.isKilled {
				k.inside(func() { k.loop.watchdog.dropGuarded(); k.loop.watchdog = nil })
				f.Close()
				k.wantBack(t)
			}
		})
	}
}

// TestHoldRemovesEgress checks that a switch which has ended unasked, and keeps the tap of the pod's own processes, cannot use it beside the next
// switch, which has another one with the same routes.
func TestHoldRemovesEgress(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	k.inside(func() {
		k.loop.cfg.HoldSwitch = time.Minute
		k.loop.cfg.Pod.KeptPorts = []plan.KeptPort{{Network: "tcp", Port: 22, Direct: true}}
	})
	admitted := func() (f *fake, egress int) {
		f = k.connect()
		f.sends(helloMessage())
		m, _ := f.receives("grant", 1)
		if len(m.Grant.Ports) != 3 {
			t.Skipf("no way out: %v", k.seen.All())
		}
		f.receives("opened", 1)
		f.receives("opened", 1)
		_, files := f.receives("opened", 1)
		f.sends(readyMessage())
		f.receives("begin", 0)
		return f, files[0]
	}
	first, old := admitted()
	first.starts(k.testKeeper)
	before := tapRoutes(t)
	first.Close()
	k.awaitState(holding)
	if err := unix.IoctlSetInt(old, unix.TUNSETSNDBUF, 1); !errors.Is(err, unix.EBADFD) {
		t.Errorf("the switch that has ended can use the tap: %v", err)
	}
	next, egress := admitted()
	if err := unix.IoctlSetPointerInt(egress, unix.TUNSETSNDBUF, 1<<20); err != nil {
		t.Errorf("the next switch cannot use the tap: %v", err)
	}
	if after := tapRoutes(t); len(before) == 0 || !slices.Equal(before, after) {
		t.Errorf("routes %q, want %q", after, before)
	}
	next.sends(byeMessage())
	next.receivesEnd("stop")
	k.wantBack(t)
}

// tapRoutes returns the routes through taps of podswitch.
func tapRoutes(t *testing.T) (list []string) {
	t.Helper()
	out, err := exec.Command("ip", "-4", "route", "show", "table", "all").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "dev podswitch") {
			list = append(list, line)
		}
	}
	return list
}
