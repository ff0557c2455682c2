package e2e

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/pod/grant"
)

// TestTakeoverSettings changes denied destinations and kept ports while connections continue.
func TestTakeoverSettings(t *testing.T) {
	l := newLab(t)
	l.pod.serves("serve-text", "127.0.0.1:8080", "hello from the pod")
	l.peer.serves("serve-text", ":81", "hello")
	p := l.podswitch()
	l.leased()
	traffic := l.pourBoth()
	expect := func(denied, kept bool) {
		t.Helper()
		if _, errs, code := l.guest.run(l.guest.as("fetch", peerAddress+":81")...); (code != 0) != denied {
			t.Errorf("port 81 of the peer: exit code %d, denied=%v: %s", code, denied, errs)
		}
		out, errs, code := l.peer.run(l.peer.as("fetch", podAddress+":8080")...)
		if got := code == 0 && out == "hello from the pod\n"; got != kept {
			t.Errorf("port 8080 of the pod: exit code %d, kept=%v: %s%s", code, kept, out, errs)
		}
	}
	expect(false, false)
	l.takeover("--deny", peerAddress+":81", "--keep", "tcp/8080")
	expect(true, true)
	l.takeover() // keeps the settings
	expect(true, true)
	l.takeover("--keep", "tcp/8080") // replaces all settings
	p.awaitText("the takeover removes a deny rule")
	expect(false, true)
	l.takeover("--hold-after", "1m")
	p.awaitText("the takeover removes a kept port")
	expect(false, false)
	traffic.end()
	if s := l.status(); s.Takeovers != 4 || s.Holder != "guest" {
		t.Errorf("status %+v", s)
	}
	p.stop()
}

// TestTakeoverFails tries takeovers that the keeper or the command refuses: each names the reason, and the running switch is not
// disturbed.
func TestTakeoverFails(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	l.leased()
	before := l.status()
	traffic := l.pourBoth()
	bridge := plainBridge(t)
	for _, c := range []struct {
		args []string
		code int
		want string // part of the message
	}{
		{[]string{"--deny", "nonsense"}, 2, "nonsense"},
		{[]string{"--keep", "tcp/80", "--keep", "tcp/80"}, 2, "twice"},
		{[]string{"--vm", bridge}, 2, "cannot become"},
		{[]string{"--interface", "red"}, 2, "red"},
		{[]string{"--guest", "tap:tap1"}, 2, "--guest cannot be combined with --takeover"},
	} {
		_, errs, code := l.verb(append([]string{"run", "--takeover", "--state-dir", l.stateDir}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit code %d, want %d and %q: %s", c.args, code, c.code, c.want, errs)
		}
	}
	if _, errs, code := l.verb("run", "--takeover", "--state-dir", socketDir(t)); code != 3 || !strings.Contains(errs, "connect to the keeper") {
		t.Errorf("without a keeper: exit code %d: %s", code, errs)
	}
	fault := l.sendHello(grant.Hello{Version: grant.Version + 1, Takeover: true})
	if fault == nil || fault.Code != 3 || !strings.Contains(fault.Text, "version") {
		t.Errorf("with another version: %+v", fault)
	}
	fault = l.sendHello(grant.Hello{Version: grant.Version})
	if fault == nil || fault.Code != 3 || !strings.Contains(fault.Text, "--takeover") {
		t.Errorf("without a takeover: %+v", fault)
	}
	traffic.end()
	l.expectContinued(before, 0)
	if s := l.status(); s.SwitchPID != before.SwitchPID {
		t.Errorf("the switch is process %d, before %d", s.SwitchPID, before.SwitchPID)
	}
	p.stop()
}

// TestTakeoverDies kills switches at several moments of their takeover. Before the takeover is complete, the previous switch keeps
// running. Afterwards the end of the new switch gives the address back.
func TestTakeoverDies(t *testing.T) {
	l := newLab(t)
	p := l.podswitch()
	l.leased()
	died := map[bool]int{}
	for i := range 12 {
		next := l.pod.start(program, "run", "--takeover", "--state-dir", l.stateDir)
		moment := time.NewTimer(time.Duration(i) * 15 * time.Millisecond)
		<-moment.C
		_ = next.cmd.Process.Kill()
		killed := time.Now()
		next.wait()
		continued := l.answers(p)
		died[continued]++
		if continued {
			l.guest.must("ping", "-c1", "-W2", peerAddress)
			continue
		}
		l.awaitAddress("a takeover that died", killed, timeout) // TestKill bounds the time
		p = l.podswitch()
		l.leased()
	}
	t.Logf("%d times the previous switch kept running, %d times the address was given back", died[true], died[false])
	p.stop()
}

// answers waits until podswitch answers or ends, and reports whether it answers.
func (l *lab) answers(p *process) (on bool) {
	l.t.Helper()
	await(l.t, "podswitch to answer, or to end", func() error {
		select {
		case <-p.done:
			return nil
		default:
		}
		_, errs, code := l.verb("status", "--control", filepath.Join(l.stateDir, "control.sock"))
		if on = code == 0; on {
			return nil
		}
		return errors.New(errs)
	})
	return on
}

// sendHello connects to the keeper and returns the Fault that it answers with, or nil if it does not answer.
func (l *lab) sendHello(h grant.Hello) *grant.Fault {
	l.t.Helper()
	_, conn := l.session(filepath.Join(l.stateDir, "keeper.sock"))
	if err := conn.Send(grant.Message{Hello: &h}); err != nil {
		return nil
	}
	m, files, err := conn.Receive()
	if err != nil {
		return nil
	}
	_ = grant.CloseFiles(files)
	return m.Fault
}

// session connects to a keeper. The socket is for bytes that are not a message.
func (l *lab) session(path string) (socket *net.UnixConn, conn *grant.Conn) {
	l.t.Helper()
	socket, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { socket.Close() })
	return socket, grant.NewConn(socket)
}
