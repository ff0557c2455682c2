package keeper

import (
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor/lingertest"
	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
)

// sendsLast sends a message with a descriptor, and closes the test's copy of that between the header and the body: the keeper then has the
// last one.
func (f *fake) sendsLast(body string, fd int) {
	f.t.Helper()
	header := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	_, _, _ = f.socket.WriteMsgUnix(binary.BigEndian.AppendUint32(header, 1), unix.UnixRights(fd), nil)
	_ = grant.CloseFiles([]int{fd})
	_, _ = f.socket.Write([]byte(body)) // fails where the keeper has ended the session
}

// sendsLate sends the begin of a message with a harmless descriptor, where a read(2) of the keeper ends, the next byte with the other one, and the end of the session. The test's copy is
// closed before the keeper reads any of it, because its loop has not handled the message before that.
func (f *fake) sendsLate(begin []byte, fd int) {
	f.t.Helper()
	f.sends(reopenMessage(0))
	f.sends(reopenMessage(0))
	_, _, err := f.socket.WriteMsgUnix(begin, unix.UnixRights(0), nil)
	if err == nil {
		_, _, err = f.socket.WriteMsgUnix([]byte("{"), unix.UnixRights(fd), nil)
	}
	if err == nil {
		err = errors.Join(grant.CloseFiles([]int{fd}), f.socket.CloseWrite())
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// blocks makes the loop handle nothing until the returned function is called.
func (k *testKeeper) blocks() (unblock func()) {
	isBlocked, end := make(chan struct{}), make(chan struct{})
	go k.loop.do(func() { close(isBlocked); <-end })
	<-isBlocked
	return func() { close(end) }
}

// TestLingering passes the last descriptor of a socket that cannot be closed, in each way in which one can reach the keeper. The keeper gives
// the address back in time, and serves the next switch.
func TestLingering(t *testing.T) {
	for name, pass := range map[string]func(f *fake, fd int){
		"a message that has none":          func(f *fake, fd int) { f.sendsLast(`{"reopen":{"port":0}}`, fd) },
		"a message that is not allowed":    func(f *fake, fd int) { f.sendsLast(`{"ready":{"sandbox":""}}`, fd) },
		"a yield that is not allowed":      func(f *fake, fd int) { f.sendsLast(`{"yielded":{"snapshot":{}}}`, fd) },
		"not a message":                    func(f *fake, fd int) { f.sendsLast(`{]`, fd) },
		"no end of the message":            func(f *fake, fd int) { f.sendsLast(`{"reopen"`, fd); _ = f.socket.CloseWrite() },
		"with the second byte of a header": func(f *fake, fd int) { f.sendsLate([]byte{0}, fd) },
		"with the last byte of a header":   func(f *fake, fd int) { f.sendsLate(make([]byte, 7), fd) },
		"with the body":                    func(f *fake, fd int) { f.sendsLate([]byte{0, 0, 0, 22, 0, 0, 0, 1}, fd) },
		"after more than a message may have": func(f *fake, fd int) {
			f.sends(reopenMessage(0))
			f.sends(reopenMessage(0))
			null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err != nil {
				f.t.Fatal(err)
			}
			files := append(slices.Repeat([]int{null}, 252), fd)
			if _, _, err = f.socket.WriteMsgUnix([]byte{0}, unix.UnixRights(files...), nil); err != nil {
				f.t.Fatal(err)
			}
			_ = errors.Join(unix.Close(null), grant.CloseFiles([]int{fd}), f.socket.CloseWrite())
		},
		"in the queue of a session that has ended": func(f *fake, fd int) {
			f.sends(readyMessage())
			_, _, _ = f.socket.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil)
			_ = grant.CloseFiles([]int{fd})
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newTestKeeper(t, shortTimeouts())
			f := k.running()
			fd := lingertest.Socket(t)
			unblock := k.blocks()
			pass(f, fd)
			asked := time.Now()
			unblock()
			f.sends(byeMessage())
			await(t, "the address to be given back", func() bool { return k.back.Load() == 1 })
			if took := time.Since(asked); took > soon {
				t.Errorf("given back after %s", took)
			}
			k.running().ends()
			await(t, "the address to be given back again", func() bool { return k.back.Load() == 2 })
		})
	}
}

// TestAbort ends a session from the keeper's side, while no reader would notice that. The keeper gives the address back.
func TestAbort(t *testing.T) {
	for name, end := range map[string]func(s *session){
		"abort":             func(s *session) { s.abort(errNotReading) },
		"a failed send":     func(s *session) { s.sendFailed(errNotReading) },
		"a send to nowhere": func(s *session) { s.sendFailed(unix.EPIPE) },
	} {
		t.Run(name, func(t *testing.T) {
			k := newTestKeeper(t, shortTimeouts())
			k.running()
			k.inside(func() {
				was := k.loop.current
				s := k.loop.newSession(was.conn, was.pid, was.uid) // nothing reads it
				s.phase = phaseRunning
				k.loop.current = s
				end(s)
			})
			await(t, "the address to be given back", func() bool { return k.back.Load() == 1 })
		})
	}
}

// newStreamKeeper returns a keeper one of whose ports is a listening stream.
func newStreamKeeper(t *testing.T) *testKeeper {
	t.Helper()
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.Switch.Ports[1].Kind = hypervisor.KindStream
	return newTestKeeperOf(t, dir, cfg, shortTimeouts())
}

// TestFilesWithoutConnections checks that the keeper receives no descriptors with a snapshot either, unless a hypervisor connects to a port.
func TestFilesWithoutConnections(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	first, next := k.yielding()
	first.sends(grant.Message{Yielded: &grant.Yielded{Snapshot: []byte(`{"a":1}`), Connections: grant.Owners{0}}}, 0)
	first.receivesEnd()
	next.receivesEnd()
	await(t, "the address to be given back", func() bool { return k.back.Load() == 1 })
	k.awaitWaiting()
}

// TestLingeringHandover passes such descriptors with the snapshot of a takeover that fails.
func TestLingeringHandover(t *testing.T) {
	k := newStreamKeeper(t)
	first, next := k.yielding()
	fd := lingertest.Socket(t)
	first.sends(grant.Message{Yielded: &grant.Yielded{Snapshot: []byte(`{"a":1}`), Connections: grant.Owners{0}}}, fd)
	_ = grant.CloseFiles([]int{fd})
	_, files := next.receives("begin", 1)
	_ = unix.Close(files[0])
	next.Close()
	first.Close()
	await(t, "the address to be given back", func() bool { return k.back.Load() == 1 })
	k.awaitWaiting()
}

// lingers connects, and passes the last descriptor of a socket that lingers, which stays in the queue.
func lingers(t *testing.T, path string) *fake {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	fd := lingertest.Socket(t)
	if _, _, err := c.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil); err != nil {
		t.Fatal(err)
	}
	_ = grant.CloseFiles([]int{fd})
	return newFake(t, c)
}

// TestLingeringRefused checks that peers which may not connect, and pass such descriptors, do not keep others from connecting.
func TestLingeringRefused(t *testing.T) {
	cfg := configOf(t.TempDir())
	cfg.Log, cfg.Peers.UIDs = zap.NewNop(), []int{-2} // nobody
	path := filepath.Join(t.TempDir(), "keeper")
	listener, err := unixsocket.Listen(unixsocket.Spec{Path: path, Owner: -1})
	if err != nil {
		t.Fatal(err)
	}
	var all []*fake
	for range 2*maxSessions + 1 {
		all = append(all, lingers(t, path))
	}
	ended := make(chan struct{})
	l := newLoop(cfg)
	l.uid = -2 // the peers are not its own user's either
	go func() { defer close(ended); l.accept(listener.UnixListener, maxSessions) }()
	for _, f := range all {
		f.receivesEnd("fault")
	}
	listener.Close()
	<-ended
}

// TestLingeringSessions checks that sessions which end with such descriptors in their queue do not keep other switches from connecting.
func TestLingeringSessions(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	unblock := k.blocks()
	for range maxSessions {
		f := k.connect()
		f.sends(readyMessage()) // is not allowed
		fd := lingertest.Socket(t)
		if _, _, err := f.socket.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil); err != nil {
			t.Fatal(err)
		}
		_ = grant.CloseFiles([]int{fd})
	}
	unblock()
	await(t, "all sessions to end", func() (none bool) {
		k.inside(func() { none = len(k.loop.sessions) == 0 })
		return none
	})
	k.running().ends()
}

// TestTooManyFiles checks the bound of descriptors that wait for their end.
func TestTooManyFiles(t *testing.T) {
	var d disposal
	d.ended = make(chan struct{}) // nothing is closed
	if d.add(make([]int, maxDisposals)) || !d.add([]int{0}) {
		t.Error("the bound is another one")
	}
}
