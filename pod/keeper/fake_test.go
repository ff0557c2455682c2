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

// A fake is a switch that does what a test says.
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

// sends sends something; that the keeper does not listen any more is no fault.
func (f *fake) sends(m grant.Message, files ...int) { _ = f.Send(m, files...) }

// receives wants a message of a kind next, and returns it with its descriptors, which are closed with the test.
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

// receivesEnd wants that nothing but these kinds comes until the end.
func (f *fake) receivesEnd(kinds ...string) {
	f.t.Helper()
	_ = f.socket.SetReadDeadline(time.Now().Add(testTimeout))
	for {
		m, files, err := f.Receive()
		if err == nil {
			_ = grant.CloseFiles(files)
			if !strings.Contains(strings.Join(kinds, " "), m.Name()) {
				f.t.Fatalf("%q comes, want the end", m.Name())
			}
			continue
		}
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			f.t.Fatal("waited in vain for the end")
		}
		return
	}
}

// What switches say.
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

// receivesGrant wants everything that a switch needs.
func (f *fake) receivesGrant() *grant.Grant {
	f.t.Helper()
	m, files := f.receives("grant", 1)
	if flags, err := unix.FcntlInt(uintptr(files[0]), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		f.t.Errorf("the control socket has the flags %#x, %v: it blocks whoever listens on it, want O_NONBLOCK", flags, err)
	}
	for i := range m.Grant.Ports {
		if o, _ := f.receives("opened", 1); o.Opened.Port != i || (o.Opened.Socket == nil) == (o.Opened.Device == nil) {
			f.t.Errorf("opened %+v, want the device or socket of port %d", o.Opened, i)
		}
	}
	return m.Grant
}

// granted is a switch that has begun a conversation.
func (w *world) granted(first grant.Message) *fake {
	w.t.Helper()
	f := w.connect()
	f.sends(first)
	f.receivesGrant()
	return f
}

// running is a switch at work.
func (w *world) running() *fake {
	w.t.Helper()
	f := w.granted(helloMessage())
	f.sends(readyMessage())
	f.receives("go", 0)
	f.starts(w)
	return f
}

// starts says that it is at work, and waits until the keeper knows.
func (f *fake) starts(w *world) {
	w.t.Helper()
	f.sends(grant.Message{Started: &grant.Started{}})
	await(w.t, "the switch to be at work", func() (works bool) {
		w.inside(func() { works = w.loop.current != nil && w.loop.current.phase == phaseRunning && w.loop.next == nil })
		return works
	})
}

// yielding is a switch that was asked to make room, and the one that waits for that.
func (w *world) yielding() (first, next *fake) {
	w.t.Helper()
	first = w.running()
	next = w.granted(takeoverMessage())
	next.sends(readyMessage())
	first.receives("yield", 0)
	return first, next
}

// handedOver is a switch that goes on in place of another one.
func (w *world) handedOver() *fake {
	w.t.Helper()
	first, next := w.beginning()
	next.starts(w)
	next.receives("guest", 0)
	first.receivesEnd()
	return next
}

// resumes wants that a switch that has yielded is told to go on itself.
func (f *fake) resumes(w *world) {
	w.t.Helper()
	f.receives("opened", 1)
	f.receives("opened", 1)
	if m, _ := f.receives("go", 0); string(m.Go.Snapshot) != `{"a":1}` || m.Go.Takeovers != 0 {
		w.t.Errorf("it goes on with %+v", m.Go)
	}
	f.starts(w)
	f.receives("guest", 0)
}

// stops does what the keeper asks for at the end.
func (f *fake) stops() {
	f.t.Helper()
	f.receives("stop", 0)
	f.sends(stoppedMessage())
	f.receivesEnd()
}

// ends says goodbye.
func (f *fake) ends() {
	f.t.Helper()
	f.sends(byeMessage())
	f.stops()
}
