package grant

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a message as it travels, with the number of descriptors that it promises.
func wire(body string, files int) []byte {
	text := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	return append(binary.BigEndian.AppendUint32(text, uint32(files)), body...)
}

// write sends bytes with descriptors.
func write(t testing.TB, c *net.UnixConn, text []byte, files ...int) {
	t.Helper()
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	if n, _, err := c.WriteMsgUnix(text, rights, nil); err != nil || n != len(text) {
		t.Fatalf("%d bytes of %d are written: %v", n, len(text), err)
	}
}

// TestReceiveRefuses: whatever is no message is an error, which is not the end between two messages, and no descriptor leaks.
func TestReceiveRefuses(t *testing.T) {
	bye := `{"bye":{}}`
	for _, c := range []struct {
		name  string
		text  []byte
		files int
		want  string
	}{
		{"more descriptors than are allowed", wire(bye, maxFiles+1), maxFiles + 1, "more descriptors"},
		{"fewer descriptors than promised", wire(bye, 2), 1, "2 descriptors, of which 1 came"},
		{"more descriptors than promised", wire(bye, 1), 2, "1 descriptors, of which 2 came"},
		{"descriptors that were not promised", wire(bye, 0), 3, "0 descriptors, of which 3 came"},
		{"too long", binary.BigEndian.AppendUint64(nil, (maxMessage+1)<<32|1), 1, "at most 8388608 bytes"},
		{"the longest number", binary.BigEndian.AppendUint64(nil, 0xffffffff_00000001), 1, "at most 8388608 bytes"},
		{"an end in the header", wire(bye, 1)[:5], 1, "unexpected EOF"},
		{"an end behind the header", wire(bye, 1)[:headerSize], 1, "ends too early"},
		{"an end in the body", wire(bye, 1)[:headerSize+3], 1, "ends too early"},
		{"nothing", wire("", 1), 1, "exactly one thing"},
		{"white space", wire("  ", 1), 1, "exactly one thing"},
		{"nothing said", wire("{}", 1), 1, "exactly one thing"},
		{"two things", wire(`{"bye":{},"stopped":{}}`, 1), 1, "exactly one thing"},
		{"one thing twice", wire(`{"bye":{},"bye":{}}`, 1), 1, "exactly one thing"},
		{"null", wire(`{"bye":null}`, 1), 1, "exactly one thing"},
		{"an array", wire(`[{"bye":{}}]`, 1), 1, "exactly one thing"},
		{"text alone", wire(`"bye"`, 1), 1, "exactly one thing"},
		{"no end of the object", wire(`{"bye":{}`, 1), 1, "exactly one thing"},
		{"no JSON", wire("bye", 1), 1, "exactly one thing"},
		{"another object behind it", wire(bye+bye, 1), 1, "nothing behind it"},
		{"rubbish behind it", wire(bye+"x", 1), 1, "nothing behind it"},
		{"an unknown thing", wire(`{"reboot":{}}`, 1), 1, `"reboot" is not for the other side`},
		{"an unknown thing with a long name", wire(`{"`+strings.Repeat("x", 200<<10)+`":{}}`, 1), 1, "is not for the other side"},
		{"another case", wire(`{"Bye":{}}`, 1), 1, "is not for the other side"},
		{"what the keeper says", wire(`{"stop":{}}`, 1), 1, `"stop" is not for the other side`},
		{"an unknown field", wire(`{"bye":{"at":"once"}}`, 1), 1, "unknown field"},
		{"an unknown field with a long name", wire(`{"hello":{"`+strings.Repeat("x", 200<<10)+`":1}}`, 1), 1, "unknown field"},
		{"a wrong type", wire(`{"dial":{"id":"one"}}`, 1), 1, "cannot unmarshal"},
		{"a negative number", wire(`{"dial":{"id":-1}}`, 1), 1, "cannot unmarshal"},
		{"many bytes for few words", wire(`{"fault":{"text":"`+strings.Repeat("x", maxWord)+`"}}`, 1), 1, "want at most 65536"},
	} {
		t.Run(c.name, func(t *testing.T) { refuses(t, c.text, c.files, c.want) })
	}
}

// refuses receives a message that comes with descriptors, and wants an error that has this text.
func refuses(t *testing.T, text []byte, count int, want string) {
	t.Helper()
	ours, theirs := socketPair(t)
	files := descriptors(t, count)
	before := countDescriptors(t)
	sent := make(chan struct{})
	go func() { // what is longer than the socket's buffer waits for the reader
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

// TestEnd: the end between two messages is io.EOF itself.
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

// TestCuts: a message arrives whole, with its descriptor, however it was cut on its way.
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
				err = errors.New("another message came")
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
		if said, err := io.ReadAll(r); err != nil || string(said) != "x" { // it ends: nobody else has the other end
			t.Errorf("cut at %d: %q, %v", at, said, err)
		}
		r.Close()
		ours.Close()
		theirs.Close()
	}
}

// TestSend: descriptors arrive with their message, in order, and stay the sender's.
func TestSend(t *testing.T) {
	ours, theirs := socketPair(t)
	keeper, other := NewConn(ours), NewConn(theirs)
	files := descriptors(t, maxFiles)
	if err := other.Send(Message{Hello: &Hello{Version: Version}}); err != nil {
		t.Fatal(err)
	}
	for n := range maxFiles + 1 {
		if err := keeper.Send(Message{Go: &Go{Takeovers: n}}, files[:n]...); err != nil {
			t.Fatal(err)
		}
		m, got, err := other.Receive()
		if err != nil || m.Go == nil || m.Go.Takeovers != n || len(got) != n {
			t.Fatalf("%+v, descriptors %v, %v: want %d", m, got, err, n)
		}
		if err := CloseFiles(got); err != nil {
			t.Error(err)
		}
	}
}

// TestSendRefuses: what cannot be said is not begun, and the conversation goes on.
func TestSendRefuses(t *testing.T) {
	ours, theirs := socketPair(t)
	c := NewConn(theirs)
	for name, m := range map[string]Message{
		"nothing":    {},
		"two things": {Bye: &Bye{}, Stopped: &Stopped{}},
		"too long":   {Yielded: &Yielded{Snapshot: json.RawMessage(`"` + strings.Repeat("x", maxMessage) + `"`)}},
		"no JSON":    {Yielded: &Yielded{Snapshot: json.RawMessage(`{`)}},
	} {
		if err := c.Send(m); err == nil {
			t.Errorf("%s can be said", name)
		}
	}
	if err := c.Send(Message{Bye: &Bye{}}, make([]int, maxFiles+1)...); err == nil {
		t.Error("17 descriptors can be sent")
	}
	if err := c.Send(Message{Bye: &Bye{}}); err != nil {
		t.Fatal(err)
	}
	if m, files, err := NewConn(ours).Receive(); err != nil || m.Bye == nil || files != nil {
		t.Errorf("%+v, %v, %v", m, files, err)
	}
}

// TestSendToNobody: one who does not read is given up, and gets nothing behind half a message.
func TestSendToNobody(t *testing.T) {
	ours, theirs := socketPair(t)
	c := NewConn(ours)
	c.timeout = 20 * time.Millisecond
	long := Message{Yielded: &Yielded{Snapshot: json.RawMessage(`"` + strings.Repeat("x", 4<<20) + `"`)}}
	if err := c.Send(long); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want that it took too long", err)
	}
	if err := c.Send(Message{Bye: &Bye{}}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want that the conversation is closed", err)
	}
	if m, _, err := NewConn(theirs).Receive(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%.100v, %v: want an end within the message", m, err)
	}
}

// TestConcurrentSends: messages of several goroutines do not mix.
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

// TestFromFile: only a connected unix stream socket is one end of a conversation, and the file is closed in any case.
func TestFromFile(t *testing.T) {
	keepsDescriptors(t)
	open := func(domain, kind int) *os.File {
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(fd), "it")
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
			t.Errorf("%s is one", name)
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
