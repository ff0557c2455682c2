package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Roles for a connection that lives while parts of podswitch are killed.

// beatEvery is the time between two messages of beat, gapLeast the shortest time without an answer that it reports, and beatsShown the number of
// echoes after which it reports that it lives.
const (
	beatEvery  = 5 * time.Millisecond
	gapLeast   = 4 * beatEvery
	beatsShown = 20
)

// beat sends eight bytes again and again over one connection, and waits for their echo, until SIGTERM: beat ADDRESS. It prints each time
// without an answer, when that is over, and at the end the number of echoes.
func beat(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	conn, err := net.DialTimeout("tcp", args[0], 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Println("beating")
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	message, beats := []byte("beating\n"), 0
	for last := time.Now(); ctx.Err() == nil; <-ticker.C {
		if _, err := conn.Write(message); err != nil {
			return fmt.Errorf("after %d beats: %w", beats, err)
		}
		if _, err := io.ReadFull(conn, message); err != nil {
			return fmt.Errorf("after %d beats: %w", beats, err)
		}
		beats++
		now := time.Now()
		if gap := now.Sub(last); gap >= gapLeast {
			fmt.Printf("gap %s\n", gap.Round(time.Millisecond))
		}
		last = now
		if beats%beatsShown == 0 {
			fmt.Println("alive")
		}
	}
	fmt.Printf("beats %d\n", beats)
	return nil
}

// echoTCP returns what it receives, on any number of connections: echo-tcp ADDRESS.
func echoTCP(args []string) error {
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			_, err := io.Copy(conn, conn)
			conn.Close()
			if err != nil {
				fmt.Println("echo:", err)
			}
		}()
	}
}

// beats are connections from the guest and to it.
type beats struct {
	t      *testing.T
	ends   [2]*process
	echoes [2]*process
}

// beatBoth connects guest and peer.
func (l *lab) beatBoth() *beats {
	l.t.Helper()
	return l.beatBetween(l.peer, l.ends[len(l.ends)-1])
}

// beatWith connects the guest and another namespace that has the address.
func (l *lab) beatWith(other namespace, address string) *beats {
	l.t.Helper()
	return l.beatBetween(other, ends{podAddress, address})
}

func (l *lab) beatBetween(other namespace, end ends) *beats {
	l.t.Helper()
	b := &beats{t: l.t, echoes: [2]*process{other.serves("echo-tcp", ":5001"), l.guest.serves("echo-tcp", ":5001")}}
	for i, end := range []struct {
		from    namespace
		address string
	}{{l.guest, end.peer}, {other, end.pod}} {
		b.ends[i] = end.from.start(end.from.as("beat", net.JoinHostPort(end.address, "5001"))...)
		b.ends[i].awaitText("beating")
	}
	return b
}

// resumed waits until both connections have answers again, and returns the longest time without one since the beginning.
func (b *beats) resumed() (longest time.Duration) {
	b.t.Helper()
	for _, p := range b.ends {
		awaitCount(b.t, p, "alive", strings.Count(p.text(), "alive")+2)
		longest = max(longest, b.longestGap(p))
	}
	return longest
}

// longestGap returns the longest time without an answer, or gapLeast if it was shorter.
func (b *beats) longestGap(p *process) time.Duration {
	b.t.Helper()
	longest := gapLeast
	for line := range strings.Lines(p.text()) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "gap ")
		if !ok {
			continue
		}
		gap, err := time.ParseDuration(text)
		if err != nil {
			b.t.Fatal(err)
		}
		longest = max(longest, gap)
	}
	return longest
}

// end ends the connections, which must not have broken.
func (b *beats) end() {
	b.t.Helper()
	for _, p := range b.ends {
		_ = syscall.Kill(p.cmd.Process.Pid, syscall.SIGTERM)
		if code := p.wait(); code != 0 || !strings.Contains(p.text(), "beats ") {
			b.t.Errorf("%s: exit code %d: %s", p.name, code, p.text())
		}
	}
	for _, p := range b.echoes {
		_ = p.cmd.Process.Kill()
		p.wait()
	}
}
