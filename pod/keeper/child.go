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

// firstInherited is the first descriptor that is none of the three that every process has.
const firstInherited = 3

// A child is the switch that the keeper has started itself.
type child struct {
	conn    *grant.Conn
	command *exec.Cmd
	ended   chan struct{}
}

// start starts the switch. Whatever this process itself has inherited is not for it.
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
		_ = c.command.Wait() // the end of the conversation says more
	}()
	return c, nil
}

// end returns when the switch has ended, and sees to it. If there was an error, a signal that ended the switch says more.
func (c *child) end(err error) error {
	c.conn.Close() // if it is open yet
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
