package podman_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// dial connects from the node, which is outside of the pod.
func dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	within := node.Within(func() error {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return nil
	})
	return c, errors.Join(within, err)
}

// fetch returns the guest's page. It has the guest's boot, so two equal pages are from the same boot.
func fetch(t *testing.T, address string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: timeout}
	response, err := client.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.HasPrefix(string(page), "Hello from the guest") {
		t.Fatalf("the page is %s %q (%v)", response.Status, page, err)
	}
	return string(page)
}

// interval is the time between two lines of a connection.
const interval = 20 * time.Millisecond

// A connection is a TCP connection to the guest's echo, on which a line is sent every interval.
type connection struct {
	conn net.Conn
	done sync.WaitGroup

	mu        sync.Mutex // guards the following fields
	sent      int        // number of lines
	received  int
	last      time.Time     // when the last line came back
	longest   time.Duration // between two lines that came back, since the last gap
	err, lost error         // why sending and receiving ended
}

func connect(t *testing.T, address string) *connection {
	t.Helper()
	conn, err := dial(t.Context(), "tcp", net.JoinHostPort(address, "7"))
	if err != nil {
		t.Fatal(err)
	}
	c := &connection{conn: conn, last: time.Now()}
	c.done.Go(c.send)
	c.done.Go(c.receive)
	t.Cleanup(func() {
		conn.Close()
		c.done.Wait()
	})
	return c
}

func (c *connection) send() {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for n := 0; ; n++ {
		_, err := fmt.Fprintln(c.conn, n)
		c.mu.Lock()
		c.sent, c.err = n+1, err
		c.mu.Unlock()
		if err != nil {
			return
		}
		<-ticker.C
	}
}

// receive checks that every line comes back once, and in order.
func (c *connection) receive() {
	lines := bufio.NewScanner(c.conn)
	for n := 0; lines.Scan(); n++ {
		c.mu.Lock()
		now := time.Now()
		c.longest, c.last, c.received = max(c.longest, now.Sub(c.last)), now, n+1
		c.mu.Unlock()
		if lines.Text() != strconv.Itoa(n) {
			c.end(fmt.Errorf("line %d came back as %q", n, lines.Text()))
			return
		}
	}
	c.end(errors.Join(io.EOF, lines.Err()))
}

func (c *connection) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = err
}

// quiet waits until everything that was sent by now has come back.
func (c *connection) quiet(t *testing.T) {
	t.Helper()
	if err := c.awaitQuiet(); err != nil {
		t.Fatal(err)
	}
}

// awaitQuiet is quiet, and returns an error if the connection has ended.
func (c *connection) awaitQuiet() error {
	c.mu.Lock()
	until := c.sent
	c.mu.Unlock()
	deadline := time.Now().Add(timeout)
	for {
		c.mu.Lock()
		received, err := c.received, errors.Join(c.err, c.lost)
		c.mu.Unlock()
		switch {
		case err != nil:
			return fmt.Errorf("the connection has ended after %d of %d lines: %w", received, until, err)
		case received >= until:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d of %d lines came back in %s", received, until, timeout)
		}
		time.Sleep(interval)
	}
}

// gap returns the longest time without a line since the last call.
func (c *connection) gap() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	longest := c.longest
	c.longest = 0
	return longest
}
