package keeper

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
)

// TestNetworkIsFollowed checks that a switch is told each change of the pod interface once, and the next switch what the first one was told.
func TestNetworkIsFollowed(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.running()
	ip(t, "link set eth0 mtu 1400")
	f.receivesChanged(func(c *grant.Changed) bool {
		return c.Forwarder.Delegate.LinkMTU == 1400 && c.Forwarder.Delegate.Offer.MTU == 1400 && c.Forwarder.Delegate.Pod.MTU == 1400
	})
	ip(t, "route add 10.9.0.0/16 dev eth0")
	f.receivesChanged(func(c *grant.Changed) bool { return strings.Contains(routesOf(c), "10.9.0.0/16") })
	ip(t, "addr add 10.244.1.7/24 dev eth0 valid_lft 5000 preferred_lft 4000") // the kernel drops the route with it
	f.receivesChanged(func(c *grant.Changed) bool {
		o := c.Forwarder.Delegate.Offer
		return o.Valid > 4900 && o.Valid <= 5000 && o.Preferred > 3900 && o.Preferred <= 4000
	})
	await(t, "the address to be taken again", func() bool { return !strings.Contains(pod(t), "10.244.1.7") })

	next := k.connect()
	next.sends(takeoverMessage())
	if d := next.receivesGrant().Forwarder.Delegate; d.LinkMTU != 1400 || !strings.Contains(routesOf(&grant.Changed{Forwarder: grant.Forwarder{Delegate: d}}), "10.9.0.0/16") {
		t.Errorf("the grant of the next switch describes %+v", d)
	}
	ip(t, "link set eth0 mtu 1300") // between its grant and its start
	f.receivesChanged(func(c *grant.Changed) bool { return c.Forwarder.Delegate.LinkMTU == 1300 })
	next.sends(readyMessage())
	f.receives("yield", 0)
	f.sends(yieldedMessage())
	next.receives("begin", 0)
	next.sends(grant.Message{Started: &grant.Started{}})
	next.receives("guest_state", 0)
	next.receivesChanged(func(c *grant.Changed) bool { return c.Forwarder.Delegate.LinkMTU == 1300 })

	next.ends()
	k.awaitWaiting()
	out, err := exec.Command("ip", "addr", "show", "dev", "eth0").CombinedOutput()
	if now := pod(t); err != nil || !strings.Contains(now, "10.9.0.0/16") || !strings.Contains(now, "default via") || !strings.Contains(string(out), "mtu 1300") {
		t.Errorf("the pod is\n%s%s", now, out)
	}
}

// TestNetworkIsRefused checks that a change which cannot be followed is logged, that the switch is told once, and that a switch that takes over is
// told too.
func TestNetworkIsRefused(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.running()
	ip(t, "link set eth0 arp off")
	f.receivesChanged(func(c *grant.Changed) bool { return len(c.Refused) == 1 && !c.Forwarder.Delegate.NoARP })
	if n := k.seen.FilterMessage("change of the pod's network refused").Len(); n != 1 {
		t.Errorf("%d messages", n)
	}
	next := k.granted(takeoverMessage())
	next.sends(readyMessage())
	f.receives("yield", 0)
	f.sends(yieldedMessage())
	next.receives("begin", 0)
	next.sends(grant.Message{Started: &grant.Started{}})
	next.receives("guest_state", 0)
	next.receivesChanged(func(c *grant.Changed) bool { return len(c.Refused) == 1 })
	ip(t, "link set eth0 arp on")
	next.receivesChanged(func(c *grant.Changed) bool { return len(c.Refused) == 0 })
	next.ends()
	k.wantBack(t)
}

// TestNetworkFlaps checks that a program which changes the pod interface without end makes the keeper read it with a bounded rate, and that the
// switch is told the last state.
func TestNetworkFlaps(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.running()
	began := time.Now()
	for i := range 3 * followBurst {
		ip(t, fmt.Sprintf("route add 10.9.%d.0/24 dev eth0", i))
		time.Sleep(60 * time.Millisecond) // longer than signals are put together
	}
	took := time.Since(began)
	f.receivesChanged(func(c *grant.Changed) bool {
		return strings.Contains(routesOf(c), fmt.Sprintf("10.9.%d.0/24", 3*followBurst-1))
	})
	if n, most := k.seen.FilterMessage("pod network changed").Len(), followBurst+2+int(took/followRefill); n > most {
		t.Errorf("%d changes were followed in %s, want at most %d", n, took, most)
	}
	f.ends()
	k.awaitWaiting()
}

// TestTheLoopGoesOnWhileTheNetworkIsRead checks that the keeper serves its switch while it reads the pod interface, which hosts on the link can make
// slow by router advertisements.
func TestTheLoopGoesOnWhileTheNetworkIsRead(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.running()
	reading, release := make(chan struct{}), make(chan struct{})
	began := sync.OnceFunc(func() { close(reading) })
	k.inside(func() {
		r := k.loop.resources
		read := r.reader()
		r.readNetwork = func() (*podnet.Identity, []podnet.Address, error) {
			began()
			<-release
			return read()
		}
	})
	ip(t, "link set eth0 mtu 1400")
	within(t, "the keeper to read the interface", reading)
	served := make(chan struct{})
	go k.inside(func() { close(served) })
	within(t, "the loop to go on", served)
	close(release)
	f.receivesChanged(func(c *grant.Changed) bool { return c.Forwarder.Delegate.LinkMTU == 1400 })
	f.ends()
	k.wantBack(t)
}

// TestOneChangedWaits checks that a switch which reads slowly does not make the keeper store each change, and is told the last one.
func TestOneChangedWaits(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.running()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	conn, err := grant.FromFile(os.NewFile(uintptr(pair[0]), "a session"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var s, was *session
	k.inside(func() {
		was = k.loop.current
		s = k.loop.newSession(conn, was.pid, was.uid) // nothing reads or writes for it
		s.phase, s.revision = phaseRunning, k.loop.resources.revision
		k.loop.current = s
		for range 3 {
			k.loop.resources.revision++
			k.loop.sendNetwork()
		}
	})
	m := <-s.outbox
	k.inside(func() {
		if n := len(s.outbox); n > 0 || m.Changed == nil {
			t.Errorf("%+v, and %d more messages wait", m, n)
		}
	})
	m.close(&s.disposal)
	if m := within(t, "the last change", s.outbox); m.Changed == nil {
		t.Errorf("%+v follows", m)
	}
	k.inside(func() { k.loop.current = was })
	f.Close()
	k.awaitWaiting()
}

func (f *fake) receivesChanged(want func(c *grant.Changed) bool) {
	f.t.Helper()
	for {
		m, _ := f.receives("changed", 0)
		if want(m.Changed) {
			return
		}
	}
}

func routesOf(c *grant.Changed) string {
	var list []string
	for _, r := range c.Forwarder.Delegate.Routes {
		list = append(list, r.Destination.String())
	}
	return strings.Join(list, " ")
}

// TestTheNextPlanStays checks that a change of the pod interface which the settings of a takeover do not allow leaves the keeper with these settings: the
// switch that takes over has them already, and names the targets of its connections by their number.
func TestTheNextPlanStays(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.running()
	k.inside(func() {
		vm := *model.Default()
		vm.Interface.RouterMAC = net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
		cfg := *k.loop.cfg.Pod
		cfg.VM, cfg.KeptPorts = &vm, []plan.KeptPort{{Network: "tcp", Port: 80, Target: "127.0.0.1:80"}}
		next, err := plan.Revise(k.loop.resources.plan, cfg)
		if err != nil {
			t.Fatal(err)
		}
		k.loop.nextPlan = next
		changed := *k.loop.resources.plan.Identity
		changed.Link.MAC = podnet.MAC{2, 0, 0, 0, 0, 0x77}
		k.loop.revisePlans(&changed)
		if k.loop.nextPlan != next || k.loop.resources.plan.Identity.Link != changed.Link || len(k.loop.resources.refused) != 1 {
			t.Errorf("the next plan is %+v, and %q is refused", k.loop.nextPlan, k.loop.resources.refused)
		}
		k.loop.nextPlan = nil
	})
	f.sends(byeMessage())
	f.receivesEnd("stop", "guest_state", "changed")
	k.awaitWaiting()
}
