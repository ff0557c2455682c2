package grant

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor/lingertest"
)

// wire returns a message with its header, which announces a number of descriptors.
func wire(body string, files int) []byte {
	text := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	return append(binary.BigEndian.AppendUint32(text, uint32(files)), body...)
}

// write writes bytes with descriptors.
func write(t testing.TB, c *net.UnixConn, text []byte, files ...int) {
	t.Helper()
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	if n, _, err := c.WriteMsgUnix(text, rights, nil); err != nil || n != len(text) {
		t.Fatalf("%d of %d bytes written: %v", n, len(text), err)
	}
}

// TestReceiveRefuses: Receive returns an error other than io.EOF for bytes that are not a message, and closes their descriptors.
func TestReceiveRefuses(t *testing.T) {
	bye := `{"bye":{}}`
	for _, c := range []struct {
		name  string
		text  []byte
		files int
		want  string
	}{
		{"more descriptors than are allowed", wire(bye, maxFiles+1), maxFiles + 1, "more than 16 descriptors"},
		{"fewer descriptors than announced", wire(bye, 2), 1, "2 descriptors, of which 1 arrived"},
		{"more descriptors than announced", wire(bye, 1), 2, "1 descriptors, of which 2 arrived"},
		{"unannounced descriptors", wire(bye, 0), 3, "0 descriptors, of which 3 arrived"},
		{"too long", binary.BigEndian.AppendUint64(nil, (maxMessage+1)<<32|1), 1, "at most 8388608 bytes"},
		{"the largest length", binary.BigEndian.AppendUint64(nil, 0xffffffff_00000001), 1, "at most 8388608 bytes"},
		{"an end in the header", wire(bye, 1)[:5], 1, "unexpected EOF"},
		{"an end behind the header", wire(bye, 1)[:headerSize], 1, "incomplete message"},
		{"an end in the body", wire(bye, 1)[:headerSize+3], 1, "incomplete message"},
		{"nothing", wire("", 1), 1, "exactly one message"},
		{"white space", wire("  ", 1), 1, "exactly one message"},
		{"an empty object", wire("{}", 1), 1, "exactly one message"},
		{"two messages in one object", wire(`{"bye":{},"stopped":{}}`, 1), 1, "exactly one message"},
		{"one message twice", wire(`{"bye":{},"bye":{}}`, 1), 1, "exactly one message"},
		{"null", wire(`{"bye":null}`, 1), 1, "exactly one message"},
		{"an array", wire(`[{"bye":{}}]`, 1), 1, "exactly one message"},
		{"a string", wire(`"bye"`, 1), 1, "exactly one message"},
		{"an unclosed object", wire(`{"bye":{}`, 1), 1, "exactly one message"},
		{"text that is not JSON", wire("bye", 1), 1, "exactly one message"},
		{"another object behind it", wire(bye+bye, 1), 1, "nothing behind it"},
		{"a byte behind it", wire(bye+"x", 1), 1, "nothing behind it"},
		{"an unknown message", wire(`{"reboot":{}}`, 1), 1, `"reboot" is not a message from a switch`},
		{"an unknown message with a long name", wire(`{"`+strings.Repeat("x", 200<<10)+`":{}}`, 1), 1, "is not a message from a switch"},
		{"another case", wire(`{"Bye":{}}`, 1), 1, "is not a message from a switch"},
		{"a message of the keeper", wire(`{"stop":{}}`, 1), 1, `"stop" is not a message from a switch`},
		{"an unknown field", wire(`{"bye":{"at":"once"}}`, 1), 1, "unknown field"},
		{"an unknown field with a long name", wire(`{"hello":{"`+strings.Repeat("x", 200<<10)+`":1}}`, 1), 1, "unknown field"},
		{"a wrong type", wire(`{"dial":{"id":"one"}}`, 1), 1, "cannot unmarshal"},
		{"a negative number", wire(`{"dial":{"id":-1}}`, 1), 1, "cannot unmarshal"},
		{"a large message of a small kind", wire(`{"fault":{"text":"`+strings.Repeat("x", maxSmall)+`"}}`, 1), 1, "want at most 65536"},
	} {
		t.Run(c.name, func(t *testing.T) { refuses(t, c.text, c.files, c.want) })
	}
}

// refuses receives text with descriptors, and wants an error that contains want.
func refuses(t *testing.T, text []byte, count int, want string) {
	t.Helper()
	ours, theirs := socketPair(t)
	files := descriptors(t, count)
	before := countDescriptors(t)
	sent := make(chan struct{})
	go func() { // a long text fills the buffer of the socket until Receive reads
		defer close(sent)
		_, _, _ = theirs.WriteMsgUnix(text[:1], unix.UnixRights(files...), nil)
		_, _ = theirs.Write(text[1:])
		_ = theirs.CloseWrite()
	}()
	m, received, err := NewConn(ours).Receive()
	ours.Close()
	<-sent
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("%+v and the error %.300v, want %q", m, err, want)
	}
	if errors.Is(err, io.EOF) || len(err.Error()) > 1000 || received != nil {
		t.Errorf("descriptors %v and an error of %d bytes: %.300v", received, len(err.Error()), err)
	}
	if after := countDescriptors(t); after != before-1 { // ours is closed
		t.Errorf("%d descriptors are open, want %d", after, before-1)
	}
}

// TestEnd: Receive returns io.EOF itself when the connection ends between two messages.
func TestEnd(t *testing.T) {
	ours, theirs := socketPair(t)
	write(t, theirs, wire(`{"bye":{}}`, 0))
	theirs.Close()
	c := NewConn(ours)
	if m, _, err := c.Receive(); err != nil || m.Bye == nil {
		t.Fatalf("%+v, %v", m, err)
	}
	if _, _, err := c.Receive(); err != io.EOF {
		t.Errorf("%v, want io.EOF", err)
	}
}

// TestCuts: Receive returns a message that arrives in two parts, with its descriptor, wherever the cut is.
func TestCuts(t *testing.T) {
	keepsDescriptors(t)
	text := wire(`{"yielded":{"snapshot":{"a":1},"connections":[0]}}`, 1)
	for at := 1; at < len(text); at++ {
		ours, theirs := socketPair(t)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		write(t, theirs, text[:at], int(w.Fd()))
		w.Close()
		received := make(chan error, 1)
		var files []int
		go func() {
			m, got, err := NewConn(ours).Receive()
			if err == nil && (m.Yielded == nil || string(m.Yielded.Snapshot) != `{"a":1}`) {
				err = errors.New("another message arrived")
			}
			files = got
			received <- err
		}()
		write(t, theirs, text[at:])
		if err := <-received; err != nil || len(files) != 1 {
			t.Fatalf("cut at %d: descriptors %v, %v", at, files, err)
		}
		if flags, err := unix.FcntlInt(uintptr(files[0]), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("cut at %d: the flags are %#x, %v: want close-on-exec", at, flags, err)
		}
		if _, err := unix.Write(files[0], []byte("x")); err != nil {
			t.Error(err)
		}
		_ = CloseFiles(files)
		if text, err := io.ReadAll(r); err != nil || string(text) != "x" { // ReadAll returns: every copy of the other end is closed
			t.Errorf("cut at %d: %q, %v", at, text, err)
		}
		r.Close()
		ours.Close()
		theirs.Close()
	}
}

// TestSend: descriptors arrive with their message, and the sender's stay open.
func TestSend(t *testing.T) {
	ours, theirs := socketPair(t)
	keeper, other := NewConn(ours), NewConn(theirs)
	files := descriptors(t, maxFiles)
	if err := other.Send(Message{Hello: &Hello{Version: Version}}); err != nil {
		t.Fatal(err)
	}
	for n := range maxFiles + 1 {
		if err := keeper.Send(Message{Begin: &Begin{Takeovers: n}}, files[:n]...); err != nil {
			t.Fatal(err)
		}
		m, got, err := other.Receive()
		if err != nil || m.Begin == nil || m.Begin.Takeovers != n || len(got) != n {
			t.Fatalf("%+v, descriptors %v, %v: want %d", m, got, err, n)
		}
		if err := CloseFiles(got); err != nil {
			t.Error(err)
		}
	}
}

// TestSendRefuses: Send writes nothing of a message that it refuses, and the connection stays usable.
func TestSendRefuses(t *testing.T) {
	ours, theirs := socketPair(t)
	c := NewConn(theirs)
	for name, m := range map[string]Message{
		"no field":   {},
		"two fields": {Bye: &Bye{}, Stopped: &Stopped{}},
		"too long":   {Yielded: &Yielded{Snapshot: json.RawMessage(`"` + strings.Repeat("x", maxMessage) + `"`)}},
		"no JSON":    {Yielded: &Yielded{Snapshot: json.RawMessage(`{`)}},
	} {
		if err := c.Send(m); err == nil {
			t.Errorf("%s: sent", name)
		}
	}
	if err := c.Send(Message{Bye: &Bye{}}, make([]int, maxFiles+1)...); err == nil {
		t.Error("17 descriptors are sent")
	}
	if err := c.Send(Message{Bye: &Bye{}}); err != nil {
		t.Fatal(err)
	}
	if m, files, err := NewConn(ours).Receive(); err != nil || m.Bye == nil || files != nil {
		t.Errorf("%+v, %v, %v", m, files, err)
	}
}

// TestLargestSnapshot: a snapshot that a switch may send fits into a Begin, whatever its text is, and a larger one is refused.
func TestLargestSnapshot(t *testing.T) {
	head, tail := `{"yielded":{"snapshot":"`, `","connections":[0]}}`
	for extra := range 2 {
		ours, theirs := socketPair(t)
		snapshot := strings.Repeat("<", maxYielded+extra-len(head)-len(tail))
		go func() { _, _ = theirs.Write(wire(head+snapshot+tail, 0)) }()
		m, _, err := NewConn(ours).Receive()
		if extra > 0 {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("a larger one: %.300v, want ErrInvalid", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		sent, switches := make(chan error, 1), NewConn(theirs)
		switches.isSwitch.Store(true)
		begin := &Begin{Snapshot: m.Yielded.Snapshot, Connections: make(Owners, maxFiles), Takeovers: math.MaxInt}
		go func() { sent <- NewConn(ours).Send(Message{Begin: begin}) }()
		if err := theirs.SetReadDeadline(time.Now().Add(eventTimeout)); err != nil {
			t.Fatal(err)
		}
		got, _, err := switches.Receive()
		if sendErr := <-sent; sendErr != nil || err != nil || string(got.Begin.Snapshot) != string(begin.Snapshot) {
			t.Errorf("Send returns %v, Receive %.300v", sendErr, err)
		}
	}
}

// TestSendTimeout: Send ends the session when the other side does not read, so that nothing follows half a message.
func TestSendTimeout(t *testing.T) {
	ours, theirs := socketPair(t)
	c := NewConn(ours)
	c.timeout = 20 * time.Millisecond
	long := Message{Yielded: &Yielded{Snapshot: json.RawMessage(`"` + strings.Repeat("x", 4<<20) + `"`)}}
	if err := c.Send(long); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want os.ErrDeadlineExceeded", err)
	}
	if err := c.Send(Message{Bye: &Bye{}}); !errors.Is(err, unix.EPIPE) {
		t.Errorf("%v, want EPIPE", err)
	}
	if _, _, err := c.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want os.ErrDeadlineExceeded", err)
	}
	if m, _, err := NewConn(theirs).Receive(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%.100v, %v: want io.ErrUnexpectedEOF", m, err)
	}
}

// TestConcurrentSends: messages of several goroutines arrive whole.
func TestConcurrentSends(t *testing.T) {
	ours, theirs := socketPair(t)
	c, other := NewConn(ours), NewConn(theirs)
	const senders, messages = 4, 50
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for i := range messages {
				snapshot := json.RawMessage(`"` + strings.Repeat("x", 200*i) + `"`)
				if err := c.Send(Message{Yielded: &Yielded{Snapshot: snapshot}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range senders * messages {
		if m, _, err := other.Receive(); err != nil || m.Yielded == nil {
			t.Fatal(err)
		}
	}
	group.Wait()
}

// TestFromFile: FromFile accepts only connected unix stream sockets, and closes the file in any case.
func TestFromFile(t *testing.T) {
	keepsDescriptors(t)
	open := func(domain, kind int) *os.File {
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(fd), "socket")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*os.File{
		"a device": null, "a TCP socket": open(unix.AF_INET, unix.SOCK_STREAM), "a UDP socket": open(unix.AF_INET, unix.SOCK_DGRAM),
		"a unix datagram socket": open(unix.AF_UNIX, unix.SOCK_DGRAM), "a socket without a peer": open(unix.AF_UNIX, unix.SOCK_STREAM),
	} {
		if c, err := FromFile(f); err == nil {
			t.Errorf("%s is accepted", name)
			c.Close()
		} else if !strings.Contains(err.Error(), "want a connected unix stream socket") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ours, _ := socketPair(t)
	f, err := ours.File()
	if err != nil {
		t.Fatal(err)
	}
	c, err := FromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestReceiveWithoutFreeDescriptors receives the last descriptor of a socket that lingers while this process may open no more: the kernel
// closes it within the read.
func TestReceiveWithoutFreeDescriptors(t *testing.T) {
	ours, theirs := socketPair(t)
	fd := lingertest.Socket(t)
	if _, _, err := theirs.WriteMsgUnix([]byte{0, 0, 0, 12, 0, 0, 0, 1}, unix.UnixRights(fd), nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Close(fd), theirs.Close()); err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 1
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	began := time.Now()
	if _, _, err := NewConn(ours).Receive(); err == nil || time.Since(began) > eventTimeout {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// TestRefuseFiles checks that a message with descriptors is refused without receiving these.
func TestRefuseFiles(t *testing.T) {
	keepsDescriptors(t)
	ours, theirs := socketPair(t)
	conn, peer := NewConn(ours), NewConn(theirs)
	var seen []int
	conn.DiscardWith(func(files []int) { seen = files })
	conn.RefuseFiles(true)
	if err := peer.Send(Message{Hello: &Hello{Version: Version}}); err != nil {
		t.Fatal(err)
	}
	if m, _, err := conn.Receive(); err != nil || m.Hello == nil {
		t.Errorf("without descriptors: %v", err)
	}
	if err := peer.Send(Message{Reopen: &Reopen{}}, descriptors(t, 1)...); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.Receive(); !errors.Is(err, ErrInvalid) || len(seen) != 0 {
		t.Errorf("with a descriptor: %v, and %d were received", err, len(seen))
	}
}
