package keeper

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

// A fake is the switch's end of a session; a test decides what it sends and receives.
type fake struct {
	*grant.Conn
	t      testing.TB
	socket *net.UnixConn
}

func newFake(t testing.TB, socket *net.UnixConn) *fake {
	f := &fake{grant.NewConn(socket), t, socket}
	t.Cleanup(func() { f.Close() })
	return f
}

// sends sends a message. It ignores errors, because the keeper may have closed the session.
func (f *fake) sends(m grant.Message, files ...int) { _ = f.Send(m, files...) }

// receives returns the next message, and fails the test unless it has this kind and number of descriptors. The end of the test closes
// the descriptors.
func (f *fake) receives(kind string, files int) (grant.Message, []int) {
	f.t.Helper()
	_ = f.socket.SetReadDeadline(time.Now().Add(testTimeout))
	m, got, err := f.Receive()
	if err != nil {
		f.t.Fatalf("%v, want %q", err, kind)
	}
	f.t.Cleanup(func() { _ = grant.CloseFiles(got) })
	if m.Name() != kind || len(got) != files {
		text, _ := json.Marshal(m)
		f.t.Fatalf("%s with %d descriptors, want %q with %d", text, len(got), kind, files)
	}
	return m, got
}

// receivesEnd waits for the end of the session, and fails the test if a message of another kind than these arrives before.
func (f *fake) receivesEnd(kinds ...string) {
	f.t.Helper()
	_ = f.socket.SetReadDeadline(time.Now().Add(testTimeout))
	for {
		m, files, err := f.Receive()
		if err == nil {
			_ = grant.CloseFiles(files)
			if !strings.Contains(strings.Join(kinds, " "), m.Name()) {
				f.t.Fatalf("%q arrives, want the end of the session", m.Name())
			}
			continue
		}
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			f.t.Fatal("timeout: the session has not ended")
		}
		return
	}
}

// Messages of a switch.
func helloMessage() grant.Message { return grant.Message{Hello: &grant.Hello{Version: grant.Version}} }
func takeoverMessage() grant.Message {
	return grant.Message{Hello: &grant.Hello{Version: grant.Version, Takeover: true}}
}
func readyMessage() grant.Message {
	return grant.Message{Ready: &grant.Ready{Sandbox: "none"}}
}
func byeMessage() grant.Message     { return grant.Message{Bye: &grant.Bye{}} }
func stoppedMessage() grant.Message { return grant.Message{Stopped: &grant.Stopped{}} }
func yieldedMessage() grant.Message {
	return grant.Message{Yielded: &grant.Yielded{Snapshot: json.RawMessage(`{"a":1}`)}}
}
func reopenMessage(port int) grant.Message { return grant.Message{Reopen: &grant.Reopen{Port: port}} }
func dialMessage(id uint64, service grant.Service, index int) grant.Message {
	return grant.Message{Dial: &grant.Dial{ID: id, Service: service, Index: index}}
}
func faultMessage() grant.Message {
	return grant.Message{Fault: &grant.Fault{Text: "it does not work", Code: 3}}
}

// receivesGrant receives Grant, and Opened for each port.
func (f *fake) receivesGrant() *grant.Grant {
	f.t.Helper()
	m, files := f.receives("grant", 1)
	if flags, err := unix.FcntlInt(uintptr(files[0]), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		f.t.Errorf("the control socket has the flags %#x, %v: want O_NONBLOCK, which the switch that listens on it shares", flags, err)
	}
	for i := range m.Grant.Ports {
		if o, _ := f.receives("opened", 1); o.Opened.Port != i || (o.Opened.Socket == nil) == (o.Opened.Device == nil) {
			f.t.Errorf("opened %+v, want the device or socket of port %d", o.Opened, i)
		}
	}
	return m.Grant
}

// granted returns a switch that has received its grant.
func (k *testKeeper) granted(first grant.Message) *fake {
	k.t.Helper()
	f := k.connect()
	f.sends(first)
	f.receivesGrant()
	return f
}

// running returns a switch that has started.
func (k *testKeeper) running() *fake {
	k.t.Helper()
	f := k.granted(helloMessage())
	f.sends(readyMessage())
	f.receives("begin", 0)
	f.starts(k)
	return f
}

// starts sends Started, and waits until the keeper has received it.
func (f *fake) starts(k *testKeeper) {
	k.t.Helper()
	f.sends(grant.Message{Started: &grant.Started{}})
	await(k.t, "the switch to run", func() (works bool) {
		k.inside(func() { works = k.loop.current != nil && k.loop.current.phase == phaseRunning && k.loop.next == nil })
		return works
	})
}

// yielding returns a switch that was asked to yield, and the next one, which is ready.
func (k *testKeeper) yielding() (first, next *fake) {
	k.t.Helper()
	first = k.running()
	next = k.granted(takeoverMessage())
	next.sends(readyMessage())
	first.receives("yield", 0)
	return first, next
}

// handedOver returns a switch that has taken over.
func (k *testKeeper) handedOver() *fake {
	k.t.Helper()
	first, next := k.beginning()
	next.starts(k)
	next.receives("guest_state", 0)
	first.receivesEnd()
	return next
}

// resumes checks that a switch that has yielded gets its ports and its snapshot again, and starts it.
func (f *fake) resumes(k *testKeeper) {
	k.t.Helper()
	f.receives("opened", 1)
	f.receives("opened", 1)
	if m, _ := f.receives("begin", 0); string(m.Begin.Snapshot) != `{"a":1}` || m.Begin.Takeovers != 0 {
		k.t.Errorf("it resumes with %+v", m.Begin)
	}
	f.starts(k)
	f.receives("guest_state", 0)
}

// stops receives Stop, answers it, and receives the end of the session.
func (f *fake) stops() {
	f.t.Helper()
	f.receives("stop", 0)
	f.sends(stoppedMessage())
	f.receivesEnd()
}

// ends sends Bye, and then stops.
func (f *fake) ends() {
	f.t.Helper()
	f.sends(byeMessage())
	f.stops()
}
