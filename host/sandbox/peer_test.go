package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A peer is the test's side of the connections of a working child.
type peer struct {
	t        *testing.T
	folder   string
	files    []*os.File // for the child, from listenerFD on
	packets  *os.File
	tcp      *net.TCPConn
	keeper   *net.UnixConn
	finished chan error
	running  int
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	folder, err := os.MkdirTemp("", "sandbox") // short, for the socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	p := &peer{t: t, folder: folder, finished: make(chan error, 8)}
	p.files = []*os.File{p.listen("http"), p.pair(), p.connect(), p.stream(), p.listen("accept")}
	return p
}

func (p *peer) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) listen(name string) *os.File {
	l, err := net.Listen("unix", filepath.Join(p.folder, name))
	p.must(err)
	defer l.Close()
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	f, err := l.(*net.UnixListener).File()
	p.must(err)
	return f
}

// pair creates a seqpacket pair and keeps one end.
func (p *peer) pair() *os.File {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	p.must(err)
	p.packets = os.NewFile(uintptr(fds[0]), "packets")
	p.t.Cleanup(func() { p.packets.Close() })
	return os.NewFile(uintptr(fds[1]), "child's packets")
}

// connect creates a TCP connection and keeps one end.
func (p *peer) connect() *os.File {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	p.must(err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	p.must(err)
	p.tcp = c.(*net.TCPConn)
	p.t.Cleanup(func() { c.Close() })
	other, err := l.Accept()
	p.must(err)
	defer other.Close()
	f, err := other.(*net.TCPConn).File()
	p.must(err)
	return f
}

// stream creates a stream pair and keeps one end.
func (p *peer) stream() *os.File {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	p.must(err)
	f := os.NewFile(uintptr(fds[0]), "keeper")
	defer f.Close()
	c, err := net.FileConn(f)
	p.must(err)
	p.keeper = c.(*net.UnixConn)
	p.t.Cleanup(func() { c.Close() })
	return os.NewFile(uintptr(fds[1]), "child's keeper")
}

// run starts the goroutines that work during the child's whole run.
func (p *peer) run() {
	for _, f := range []func() error{p.exchangePackets, p.exchangeTCP, p.passDescriptor} {
		p.start(f)
	}
}

func (p *peer) start(f func() error) {
	p.running++
	go func() { p.finished <- f() }()
}

// wait waits for these goroutines.
func (p *peer) wait() {
	p.t.Helper()
	for range p.running {
		if err := <-p.finished; err != nil {
			p.t.Error(err)
		}
	}
}

func (p *peer) exchangePackets() error {
	fd := int(p.packets.Fd()) // blocking: each packet waits for the child
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(testTimeout / time.Second)}); err != nil {
		return err
	}
	for i := range packets {
		if _, err := unix.Write(fd, fmt.Appendf(nil, "packet %d", i)); err != nil {
			return fmt.Errorf("packets: %w", err)
		}
	}
	for i := range packets {
		b := make([]byte, 64)
		n, err := unix.Read(fd, b)
		if want := fmt.Sprintf("packet %d", i); err != nil || string(b[:n]) != want {
			return fmt.Errorf("packets: got %q, %v; want %q", b[:max(n, 0)], err, want)
		}
	}
	return nil
}

func (p *peer) exchangeTCP() error {
	text := bytes.Repeat([]byte("kept "), 5000)
	if _, err := p.tcp.Write(text); err != nil {
		return err
	}
	if err := p.tcp.CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(p.tcp)
	if err == nil && !slices.Equal(got, append(text, text...)) {
		err = fmt.Errorf("got %d bytes back, want twice %d", len(got), len(text))
	}
	if err != nil {
		return fmt.Errorf("tcp: %w", err)
	}
	return nil
}

// passDescriptor passes on the descriptor of a file that the child cannot open.
func (p *peer) passDescriptor() error {
	path := filepath.Join(p.folder, "file")
	if err := os.WriteFile(path, []byte("passed on"), 0o600); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, _, err := p.keeper.WriteMsgUnix([]byte{0}, unix.UnixRights(int(f.Fd())), nil); err != nil {
		return err
	}
	b := make([]byte, 64)
	n, err := p.keeper.Read(b)
	if err != nil || string(b[:n]) != "passed on" {
		return fmt.Errorf("descriptors: got %q, %v", b[:n], err)
	}
	return nil
}

func (p *peer) ask() error {
	client := http.Client{Timeout: testTimeout, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.folder, "http"))
		}}}
	response, err := client.Get("http://podswitch/")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || string(text) != "in the sandbox\n" {
		return fmt.Errorf("http: got %q, %v", text, err)
	}
	return nil
}

func (p *peer) call() error {
	c, err := net.Dial("unix", filepath.Join(p.folder, "accept"))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.Copy(io.Discard, c)
	return err
}

// TestWork has a child do everything that a switch does.
func TestWork(t *testing.T) {
	for range 3 {
		p := newPeer(t)
		s := startChild(t, "work", everything(), func(cmd *exec.Cmd) { cmd.ExtraFiles = p.files })
		for _, f := range p.files {
			f.Close()
		}
		p.run()
		said := p.follow(s)
		p.packets.SetDeadline(time.Now())
		p.tcp.SetDeadline(time.Now())
		p.keeper.SetDeadline(time.Now())
		s.wantSuccess()
		p.wait()
		if t.Failed() {
			t.Fatalf("the child did:\n%s", said)
		}
	}
}

// follow reads the child's output until its end, and does what each line asks for.
func (p *peer) follow(s *started) string {
	var said strings.Builder
	for {
		line, err := s.output.ReadString('\n')
		if err != nil {
			return said.String()
		}
		said.WriteString(line)
		switch strings.TrimSpace(line) {
		case "serving":
			p.start(p.ask)
		case "accepting":
			p.start(p.call)
		case "waiting for SIGTERM":
			if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				p.t.Error(err)
			}
		}
	}
}
