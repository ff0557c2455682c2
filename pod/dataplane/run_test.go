package dataplane

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

// TestRun: the switch says who it is, builds its ports, is locked in, and only then is ready; and it answers for the address until
// it is told to stop.
func TestRun(t *testing.T) {
	for name, d := range map[string]*pod{"delegation": newPod(t, delegatePlan(t)), "learning switch": newPod(t, nil)} {
		t.Run(name, func(t *testing.T) {
			k := d.start(false, nil)
			if h := k.hears("hello").Hello; h.Version != grant.Version || h.Takeover || h.Settings != nil {
				t.Errorf("it says %+v", h)
			}
			k.grants()
			if k.locked.Load() {
				t.Error("it is locked in before it has a port")
			}
			k.opens()
			if r := k.hears("ready").Ready; r.Sandbox != "a test" || !k.locked.Load() {
				t.Errorf("it is ready with %+v, locked in: %v", r, k.locked.Load())
			}
			k.say(grant.Message{Go: &grant.Go{}})
			k.hears("started")
			k.cancel()
			k.hears("bye") // and it goes on until the keeper agrees
			k.stops()
		})
	}
}

// TestKeeperEnds: a switch whose keeper ends, ends too; what the keeper says about it is the reason.
func TestKeeperEnds(t *testing.T) {
	before := openDescriptors(t)
	t.Run("", func(t *testing.T) {
		for _, phase := range []struct {
			name    string
			reaches func(k *fakeKeeper)
		}{
			{"at once", func(k *fakeKeeper) { k.hears("hello") }},
			{"when it has granted", func(k *fakeKeeper) { k.hears("hello"); k.grants() }},
			{"when it has passed one port on", func(k *fakeKeeper) {
				k.hears("hello")
				k.grants()
				k.say(grant.Message{Opened: &grant.Opened{Port: 1, Socket: wireSocket(k.sockets[1])}}, k.sockets[1].FD)
			}},
			{"when it has opened everything", func(k *fakeKeeper) { k.hears("hello"); k.grants(); k.opens() }},
			{"when the switch is ready", (*fakeKeeper).readies},
			{"when the switch is told to begin", func(k *fakeKeeper) { k.readies(); k.say(grant.Message{Go: &grant.Go{}}) }},
			{"when the switch is at work", func(k *fakeKeeper) { k.works(nil) }},
		} {
			for _, d := range []*pod{newPod(t, delegatePlan(t)), newPod(t, nil)} {
				t.Run(phase.name, func(t *testing.T) {
					k := d.start(false, nil)
					phase.reaches(k)
					k.Close()
					k.ends("the keeper has ended")
					k = d.start(false, nil)
					phase.reaches(k)
					k.say(grant.Message{Fault: &grant.Fault{Text: "the pod interface has disappeared", Code: 3}})
					k.ends("the pod interface has disappeared")
				})
			}
		}
	})
	if !eventually(func() bool { return openDescriptors(t) <= before }) {
		t.Errorf("%d descriptors are open, %d were before", openDescriptors(t), before)
	}
}

// TestBadGrants: what is no grant for this switch is an error that the keeper is told.
func TestBadGrants(t *testing.T) {
	for name, change := range map[string]func(g *grant.Grant){
		"no address":    func(g *grant.Grant) { g.Forwarder.Delegate.Pod.Address = netip.Prefix{} },
		"no MAC":        func(g *grant.Grant) { g.Forwarder.Delegate.RouterMAC = "none" },
		"one port":      func(g *grant.Grant) { g.Ports = g.Ports[:1] },
		"nothing":       func(g *grant.Grant) { g.Forwarder.Delegate = nil },
		"another count": func(g *grant.Grant) { g.Forwarder = (&pod{t: t}).grant().Forwarder; g.Forwarder.Bridge.Ports = 3 },
		"a bridge of no MAC": func(g *grant.Grant) {
			g.Forwarder = (&pod{t: t}).grant().Forwarder
			g.Forwarder.Bridge.Pod = &grant.Pod{MAC: "02:00"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newPod(t, delegatePlan(t)).start(false, nil)
			k.hears("hello")
			g := k.grant()
			change(g)
			f, err := k.control.File()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			k.say(grant.Message{Grant: g}, int(f.Fd()))
			if fault := k.hears("fault").Fault; fault.Code != 7 || !strings.Contains(fault.Text, "keeper's grant") {
				t.Errorf("it says %+v", fault)
			}
			k.ends("keeper's grant")
		})
	}
}

// TestNotLockedIn: a switch that keeps a privilege is none.
func TestNotLockedIn(t *testing.T) {
	k := newPod(t, delegatePlan(t)).start(false, errNotLocked)
	k.hears("hello")
	k.grants()
	k.opens()
	if fault := k.hears("fault").Fault; fault.Text != errNotLocked.Error() {
		t.Errorf("it says %+v", fault)
	}
	k.ends(errNotLocked.Error())
}

// TestEndBeforeBegin: a switch that is to end before it has the address does so.
func TestEndBeforeBegin(t *testing.T) {
	d := newPod(t, delegatePlan(t))
	k := d.start(false, nil)
	k.readies()
	k.stops()
	k = d.start(false, nil)
	k.readies()
	k.cancel()
	k.hears("bye")
	k.ends("")
}

// TestSilentKeeper: a switch that is to end does not wait for a keeper that says nothing.
func TestSilentKeeper(t *testing.T) {
	k := newPod(t, delegatePlan(t)).start(false, nil)
	k.hears("hello")
	k.cancel()
	k.ends("")
}

// TestForNobody: descriptors that nobody waits for are closed, and do no harm.
func TestForNobody(t *testing.T) {
	d := newPod(t, delegatePlan(t))
	k := d.start(false, nil)
	k.works(nil)
	ends := make([]int, 2)
	if err := unix.Pipe2(ends, unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	for _, m := range []grant.Message{
		{Opened: &grant.Opened{Port: -1, Socket: wireSocket(k.sockets[0])}}, {Opened: &grant.Opened{Port: 2, Socket: wireSocket(k.sockets[0])}},
		{Opened: &grant.Opened{Port: 0}}, {Dialled: &grant.Dialled{ID: 5}}, {Dialled: &grant.Dialled{ID: 0, Err: "no"}},
		{Guest: &grant.Guest{}}, {Go: &grant.Go{}},
	} {
		k.say(m, ends[1])
		k.say(m, ends[1], ends[1])
		k.say(m)
	}
	_ = unix.Close(ends[1])
	k.stops()
	if n, err := unix.Read(ends[0], make([]byte, 1)); n != 0 || err != nil { // it ends: nobody has the other end
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestWithoutSnapshot: a switch that takes over and is not told from where, does not begin.
func TestWithoutSnapshot(t *testing.T) {
	for i, p := range []*pod{newPod(t, delegatePlan(t)), newPod(t, nil)} {
		for _, snapshot := range []string{"", "null", "{}", `{"ports":[]}`, `{"address":{"state":"guest"},"ports":[]}`, "[]"} {
			t.Run(fmt.Sprint(i, snapshot), func(t *testing.T) {
				k := p.start(true, nil)
				k.readies()
				k.say(grant.Message{Go: &grant.Go{Snapshot: []byte(snapshot)}})
				if fault := k.hears("fault").Fault; fault.Code != 7 {
					t.Errorf("it says %+v", fault)
				}
				k.ends("snapshot")
			})
		}
	}
}
