package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// answerTimeout is how long Get waits. A process that works answers in milliseconds.
const answerTimeout = 5 * time.Second

// Bounds of a response. A forwarding database of a million stations has 80 MB.
const (
	maxAnswer = 256 << 20
	maxReason = 1 << 10 // of an error's text
)

// Get reads a resource of the podswitch process that listens at path, and decodes its JSON into v. It takes at most five seconds.
func Get(ctx context.Context, path, resource string, v any) error {
	client := http.Client{Timeout: answerTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://podswitch"+resource, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return explain(path, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxReason))
		return fmt.Errorf("%s: %s", path, strings.Join(strings.Fields(string(text)), " "))
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(v); err != nil {
		return explain(path, err)
	}
	return nil
}

// explain distinguishes a socket without a podswitch from a podswitch that does not answer.
func explain(path string, err error) error {
	var (
		late  net.Error
		cause *net.OpError
	)
	switch {
	case errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("the podswitch at the control socket %s has not answered within %s (it starts, ends, or hangs): %w", path, answerTimeout, err)
	case isClosed(err):
		return fmt.Errorf("the podswitch at the control socket %s has closed the connection without an answer: it ends, has too many connections, "+
			"or does not serve user %d (its log says which)", path, os.Geteuid())
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("user %d has no permission for the control socket %s (%s; set another socket with --control): %w",
			os.Geteuid(), path, permitted(os.Geteuid()), syscall.EACCES)
	case errors.As(err, &cause) && cause.Op == "dial":
		return fmt.Errorf("no podswitch at the control socket %s (set another one with --control): %w", path, cause.Err)
	}
	return fmt.Errorf("the process at the control socket %s has not answered as a podswitch of this version: %w", path, err)
}

// permitted says which users a control socket admits, for one that it does not admit. In a container, root may lack CAP_DAC_OVERRIDE.
func permitted(uid int) string {
	if uid == 0 {
		return "run in the container of the switch, as its user"
	}
	return "run as root or as the user of the switch"
}

// isClosed reports whether the other side has closed the connection. If it does so before the request is sent, net/http has an error of its
// own, which it does not export.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.HasSuffix(err.Error(), "server closed idle connection")
}
