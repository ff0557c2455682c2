package dataplane

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

// TestRun: the switch sends Hello, makes its ports, calls EnterSandbox, and only then sends Ready. It works until Stop.
func TestRun(t *testing.T) {
	for name, d := range map[string]*pod{"delegation": newPod(t, delegatePlan(t)), "learning switch": newPod(t, nil)} {
		t.Run(name, func(t *testing.T) {
			k := d.start(false, nil)
			if h := k.expect("hello").Hello; h.Version != grant.Version || h.Takeover || h.Settings != nil {
				t.Errorf("the message is %+v", h)
			}
			k.sendGrant()
			if k.sandboxed.Load() {
				t.Error("EnterSandbox was called before the ports were there")
			}
			k.sendPorts()
			if r := k.expect("ready").Ready; r.Sandbox != "a test" || !k.sandboxed.Load() {
				t.Errorf("Ready is %+v, EnterSandbox was called: %v", r, k.sandboxed.Load())
			}
			k.send(grant.Message{Begin: &grant.Begin{}})
			k.expect("started")
			k.cancel()
			k.expect("bye") // it works until the keeper sends Stop
			k.stop()
		})
	}
}

// TestKeeperEnds: a switch ends when the session ends, in every phase, with the error of the keeper's Fault if there is one.
func TestKeeperEnds(t *testing.T) {
	before := openDescriptors(t)
	t.Run("", func(t *testing.T) {
		for _, phase := range []struct {
			name    string
			reaches func(k *fakeKeeper)
		}{
			{"at once", func(k *fakeKeeper) { k.expect("hello") }},
			{"when it has granted", func(k *fakeKeeper) { k.expect("hello"); k.sendGrant() }},
			{"when it has passed one port on", func(k *fakeKeeper) {
				k.expect("hello")
				k.sendGrant()
				k.send(grant.Message{Opened: &grant.Opened{Port: 1, Socket: wireSocket(k.sockets[1])}}, k.sockets[1].FD)
			}},
			{"when it has opened everything", func(k *fakeKeeper) { k.expect("hello"); k.sendGrant(); k.sendPorts() }},
			{"when the switch is ready", (*fakeKeeper).reachReady},
			{"when the switch is told to begin", func(k *fakeKeeper) { k.reachReady(); k.send(grant.Message{Begin: &grant.Begin{}}) }},
			{"when the switch is at work", func(k *fakeKeeper) { k.reachWork(nil) }},
		} {
			for _, d := range []*pod{newPod(t, delegatePlan(t)), newPod(t, nil)} {
				t.Run(phase.name, func(t *testing.T) {
					k := d.start(false, nil)
					phase.reaches(k)
					k.Close()
					k.expectEnd("the keeper has ended")
					k = d.start(false, nil)
					phase.reaches(k)
					k.send(grant.Message{Fault: &grant.Fault{Text: "the pod interface has disappeared", Code: 3}})
					k.expectEnd("the pod interface has disappeared")
				})
			}
		}
	})
	if !eventually(func() bool { return openDescriptors(t) <= before }) {
		t.Errorf("%d descriptors are open, %d were before", openDescriptors(t), before)
	}
}

// TestBadGrants: an unusable grant is an error, which the keeper is sent.
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
			k.expect("hello")
			g := k.grant()
			change(g)
			f, err := k.control.File()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			k.send(grant.Message{Grant: g}, int(f.Fd()))
			if fault := k.expect("fault").Fault; fault.Code != 7 || !strings.Contains(fault.Text, "keeper's grant") {
				t.Errorf("the message is %+v", fault)
			}
			k.expectEnd("keeper's grant")
		})
	}
}

// TestSandboxFails: a switch whose EnterSandbox fails ends.
func TestSandboxFails(t *testing.T) {
	k := newPod(t, delegatePlan(t)).start(false, errSandbox)
	k.expect("hello")
	k.sendGrant()
	k.sendPorts()
	if fault := k.expect("fault").Fault; fault.Text != errSandbox.Error() {
		t.Errorf("the message is %+v", fault)
	}
	k.expectEnd(errSandbox.Error())
}

// TestStopBeforeGo: a switch can be stopped, and can ask for it, before the work phase.
func TestStopBeforeGo(t *testing.T) {
	d := newPod(t, delegatePlan(t))
	k := d.start(false, nil)
	k.reachReady()
	k.stop()
	k = d.start(false, nil)
	k.reachReady()
	k.cancel()
	k.expect("bye")
	k.expectEnd("")
}

// TestSilentKeeper: a switch whose context is done does not wait for the grant.
func TestSilentKeeper(t *testing.T) {
	k := newPod(t, delegatePlan(t)).start(false, nil)
	k.expect("hello")
	k.cancel()
	k.expectEnd("")
}

// TestUnexpectedDescriptors: descriptors that belong to no port and no dial are closed.
func TestUnexpectedDescriptors(t *testing.T) {
	d := newPod(t, delegatePlan(t))
	k := d.start(false, nil)
	k.reachWork(nil)
	ends := make([]int, 2)
	if err := unix.Pipe2(ends, unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	for _, m := range []grant.Message{
		{Opened: &grant.Opened{Port: -1, Socket: wireSocket(k.sockets[0])}}, {Opened: &grant.Opened{Port: 2, Socket: wireSocket(k.sockets[0])}},
		{Opened: &grant.Opened{Port: 0}}, {Dialled: &grant.Dialled{ID: 5}}, {Dialled: &grant.Dialled{ID: 0, Err: "no"}},
		{GuestState: &grant.GuestState{}}, {Begin: &grant.Begin{}},
	} {
		k.send(m, ends[1])
		k.send(m, ends[1], ends[1])
		k.send(m)
	}
	_ = unix.Close(ends[1])
	k.stop()
	if n, err := unix.Read(ends[0], make([]byte, 1)); n != 0 || err != nil { // all other descriptors of the pipe are closed
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestWithoutSnapshot: a switch that takes over does not start without a complete snapshot.
func TestWithoutSnapshot(t *testing.T) {
	for i, p := range []*pod{newPod(t, delegatePlan(t)), newPod(t, nil)} {
		for _, snapshot := range []string{"", "null", "{}", `{"ports":[]}`, `{"address":{"state":"guest"},"ports":[]}`, "[]"} {
			t.Run(fmt.Sprint(i, snapshot), func(t *testing.T) {
				k := p.start(true, nil)
				k.reachReady()
				k.send(grant.Message{Begin: &grant.Begin{Snapshot: []byte(snapshot)}})
				if fault := k.expect("fault").Fault; fault.Code != 7 {
					t.Errorf("the message is %+v", fault)
				}
				k.expectEnd("snapshot")
			})
		}
	}
}

// TestForeignKeeper checks the error of a switch whose keeper answers with a message of another version.
func TestForeignKeeper(t *testing.T) {
	k := newPod(t, nil).start(false, nil)
	k.expect("hello")
	body := `{"grant":{"version":1,"something":"else"}}`
	header := []byte{0, 0, 0, byte(len(body)), 0, 0, 0, 0}
	if _, err := k.socket.Write(append(header, body...)); err != nil {
		t.Fatal(err)
	}
	k.expectEnd("use the same podswitch on both sides")
}
