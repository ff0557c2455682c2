package keeper

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/pod/grant"
)

// firstInherited is the lowest descriptor after the three standard ones.
const firstInherited = 3

// A child is the switch that the keeper has started itself.
type child struct {
	conn    *grant.Conn // the keeper's end of the session
	command *exec.Cmd
	ended   chan struct{} // closed when the process has ended
}

// start starts the switch. The switch inherits none of the descriptors that this process has inherited.
func start(spawn func(end *os.File) *exec.Cmd) (*child, error) {
	if err := unix.CloseRange(firstInherited, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, &missing.Error{What: "start the switch", Need: "Linux 5.11", Err: os.NewSyscallError("close_range", err)}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "the switch's end")
	defer theirs.Close()
	conn, err := grant.FromFile(os.NewFile(uintptr(pair[0]), "the keeper's end"))
	if err != nil {
		return nil, err
	}
	c := &child{conn: conn, command: spawn(theirs), ended: make(chan struct{})}
	if err := c.command.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("start the switch: %w", err)
	}
	go func() {
		defer close(c.ended)
		_ = c.command.Wait() // the end of the session gives the reason
	}()
	return c, nil
}

// kill kills the switch, which has ended as far as the keeper can tell. A nil child is none.
func (c *child) kill() {
	if c != nil {
		_ = c.command.Process.Kill()
	}
}

// retire kills the switch unless it ends by itself within endTimeout: another one has taken over, and both have the same sockets. A nil child
// is none.
func (c *child) retire() {
	if c == nil {
		return
	}
	go func() {
		select {
		case <-c.ended:
		case <-time.After(endTimeout):
			c.kill()
		}
	}()
}

// end waits until the switch has ended, and kills it after endTimeout. It returns the error of the run, with the signal that has
// killed the switch, if one has.
func (c *child) end(err error) error {
	c.conn.End()
	go c.conn.Close() // Run may return before a session has begun, which otherwise closes it
	timer := time.NewTimer(endTimeout)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
		_ = c.command.Process.Kill()
		<-c.ended
		return err
	}
	if status, ok := c.command.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && err != nil {
		return fmt.Errorf("%w: %s", err, status.Signal())
	}
	return err
}
