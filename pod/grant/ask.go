package grant

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// askTimeout is how long AskKeeper waits. A keeper that works answers in milliseconds.
const askTimeout = 4 * time.Second

// askHint says which socket is right.
const askHint = "its socket is keeper.sock in the state directory"

// AskKeeper asks the keeper that listens at path whether it works. The error says that no keeper listens, or that it does not answer or
// refuses. AskKeeper takes at most four seconds, so that a probe with a timeout of five seconds shows the error.
func AskKeeper(path string) (*Answer, error) {
	socket, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("no keeper at %s (%s): %w", path, askHint, dialCause(err))
	}
	conn := NewConn(socket)
	defer conn.Close()
	timer := time.AfterFunc(askTimeout, func() { conn.Close() })
	defer timer.Stop()
	sendErr := conn.Send(Message{Ask: &Ask{}})
	m, files, err := conn.Receive()
	_ = CloseFiles(files)
	switch {
	case errors.Is(err, os.ErrClosed), errors.Is(err, net.ErrClosed):
		return nil, fmt.Errorf("the keeper at %s has not answered within %s: it hangs or is stopped", path, askTimeout)
	case err != nil:
		return nil, fmt.Errorf("the keeper at %s has not answered (%s): %w", path, askHint, errors.Join(sendErr, err))
	case m.Fault != nil:
		return nil, fmt.Errorf("the keeper at %s does not answer: %w", path, m.Fault)
	case m.Answer == nil:
		return nil, fmt.Errorf("the keeper at %s has answered with %s", path, m.Name())
	}
	return m.Answer, nil
}

// dialCause returns the system call's error of a failed dial: the path is in the text already.
func dialCause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
