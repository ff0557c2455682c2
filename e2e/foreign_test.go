package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podswitch/podswitch/pod/grant"
)

// A guest that has broken into the switch can send the keeper any bytes.

// TestKeeperForeign sends a keeper messages that its running switch may not send: the keeper ends the session, the pod has its
// address back within a second, and the keeper serves the next switch.
func TestKeeperForeign(t *testing.T) {
	l := newLab(t)
	l.keepNeighbours()
	before, path := l.pristine(), filepath.Join(socketDir(t), "socket")
	p := l.pod.start(program, "keeper", "--listen", path, "--hold-switch", "0s", "--state-dir", l.stateDir, "--keep", "tcp/8080")
	p.awaitText("waiting for a switch")
	hello := grant.Hello{Version: grant.Version}
	for _, c := range []struct {
		name string
		sent []byte
	}{
		{"a second Hello", encoded(t, grant.Message{Hello: &hello})},
		{"a port that does not exist", encoded(t, grant.Message{Reopen: &grant.Reopen{Port: 2}})},
		{"a port before the first", encoded(t, grant.Message{Reopen: &grant.Reopen{Port: -1}})},
		{"Ready again", encoded(t, grant.Message{Ready: &grant.Ready{}})},
		{"Yielded unasked", encoded(t, grant.Message{Yielded: &grant.Yielded{Snapshot: json.RawMessage("{}")}})},
		{"Started again", encoded(t, grant.Message{Started: &grant.Started{}})},
		{"Stopped unasked", encoded(t, grant.Message{Stopped: &grant.Stopped{}})},
		{"a message of the keeper", encoded(t, grant.Message{Begin: &grant.Begin{}})},
		{"an empty object", framed([]byte("{}"))},
		{"two messages in one object", framed([]byte(`{"bye":{},"stopped":{}}`))},
		{"a path", framed([]byte(`{"open":{"path":"/etc/shadow"}}`))},
		{"a target of its own", framed([]byte(`{"dial":{"id":1,"service":"keep","index":0,"address":"10.0.0.1:22"}}`))},
		{"text that is not JSON", framed([]byte("GET / HTTP/1.1\r\n\r\n"))},
		{"a deep array", framed(bytes.Repeat([]byte("["), 1<<20))},
		{"a length without a body", append(binary.BigEndian.AppendUint32(nil, 1<<31), make([]byte, 4)...)},
		{"descriptors that do not arrive", append(binary.BigEndian.AppendUint32(nil, 2), 0, 0, 0, 1, '{', '}')},
	} {
		socket, conn := l.switchAtWork(path)
		if _, err := socket.Write(c.sent); err != nil && !errors.Is(err, syscall.EPIPE) { // the keeper refuses a large message by its header
			t.Errorf("%s: %v", c.name, err)
		}
		l.awaitAddress(c.name, time.Now(), time.Second)
		l.awaitPristine(before, "a switch that sends "+c.name)
		if m, _, err := conn.Receive(); err == nil {
			t.Errorf("%s: the keeper sends %+v", c.name, m)
		}
		socket.Close()
	}
	p.stop()
}

// TestKeeperDial asks a keeper for connections: it makes those that its plan names, and refuses all others.
func TestKeeperDial(t *testing.T) {
	l := newLab(t)
	l.pod.serves("serve-text", "127.0.0.1:8080", "hello from the pod")
	path := filepath.Join(socketDir(t), "socket")
	p := l.pod.start(program, "keeper", "--listen", path, "--hold-switch", "0s", "--state-dir", l.stateDir, "--keep", "tcp/8080")
	p.awaitText("waiting for a switch")
	_, conn := l.switchAtWork(path)
	for i, d := range []grant.Dial{
		{Service: grant.Kept, Index: 1}, {Service: grant.Kept, Index: -1}, {Service: grant.DNSUDP}, {Service: grant.DNSTCP, Index: 1 << 30}, {Service: "tcp"},
	} {
		d.ID = uint64(i)
		if answer, files := l.dials(conn, d); len(files) != 0 || !strings.Contains(answer.Err, "the plan has no target") {
			t.Errorf("%+v: %+v and %d descriptors", d, answer, len(files))
		}
	}
	answer, files := l.dials(conn, grant.Dial{ID: 99, Service: grant.Kept})
	if answer.Err != "" || len(files) != 1 {
		t.Fatalf("the kept port: %+v and %d descriptors", answer, len(files))
	}
	f := os.NewFile(uintptr(files[0]), "connection")
	defer f.Close()
	if text, err := io.ReadAll(f); string(text) != "hello from the pod\n" {
		t.Errorf("the kept port sends %q, %v", text, err)
	}
	p.stop()
}

// dials sends a Dial and returns the answer.
func (l *lab) dials(conn *grant.Conn, d grant.Dial) (answer grant.Dialled, files []int) {
	l.t.Helper()
	if err := conn.Send(grant.Message{Dial: &d}); err != nil {
		l.t.Fatal(err)
	}
	for {
		m, files, err := conn.Receive()
		if err != nil {
			l.t.Fatal(err)
		}
		if m.Dialled != nil && m.Dialled.ID == d.ID {
			return *m.Dialled, files
		}
		_ = grant.CloseFiles(files)
	}
}

// switchAtWork starts a session with a keeper and completes it up to Started. It forwards no frames.
func (l *lab) switchAtWork(path string) (socket io.WriteCloser, conn *grant.Conn) {
	l.t.Helper()
	raw, conn := l.session(path)
	for _, m := range []grant.Message{{Hello: &grant.Hello{Version: grant.Version}}, {Ready: &grant.Ready{Sandbox: "none"}}} {
		if err := conn.Send(m); err != nil {
			l.t.Fatal(err)
		}
	}
	for {
		m, files, err := conn.Receive()
		if err != nil {
			l.t.Fatal(fmt.Errorf("before the address was taken: %w", err))
		}
		_ = grant.CloseFiles(files)
		switch {
		case m.Fault != nil:
			l.t.Fatal(m.Fault)
		case m.Begin != nil:
			if got := l.pod.addresses("eth0"); slices.Contains(got, podAddress+"/24") {
				l.t.Fatalf("the keeper sends Begin, and the pod has %v", got)
			}
			if err := conn.Send(grant.Message{Started: &grant.Started{}}); err != nil {
				l.t.Fatal(err)
			}
			return raw, conn
		}
	}
}

// encoded returns a message with its header.
func encoded(t *testing.T, m grant.Message) []byte {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return framed(text)
}

// framed puts the header of package grant before a text: its length, and no descriptors.
func framed(text []byte) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), 0, 0, 0, 0), text...)
}

// TestKeeperFlood opens more sessions than a keeper accepts, and sends an incomplete header: the running switch keeps working, and the
// keeper accepts sessions again.
func TestKeeperFlood(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	l.leased()
	path := filepath.Join(l.stateDir, "keeper.sock")
	for range 40 {
		socket, _ := l.session(path)
		if _, err := socket.Write([]byte{0, 0}); err != nil && !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
	}
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	await(t, "the keeper to accept another session", func() error {
		if fault := l.sendHello(grant.Hello{Version: grant.Version + 1}); fault == nil || !strings.Contains(fault.Text, "version") {
			return fmt.Errorf("it answers %v", fault)
		}
		return nil
	})
	l.takeover()
	l.guest.must("ping", "-c1", "-W2", peerAddress)
	p.stop()
}
