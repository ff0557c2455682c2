package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A namespace is the name of a network namespace (ip-netns(8)). The empty name stands for the namespace of this program.
type namespace string

func (n namespace) path() string { return "/run/netns/" + string(n) }

// within calls f on a thread in the namespace. Programs that f starts are in the namespace from the beginning, so that the time until they
// are ready does not include the start of `ip netns exec`.
func (n namespace) within(f func() error) error {
	if n == "" {
		return f()
	}
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	away, err := os.Open(n.path())
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer away.Close()
	if err := unix.Setns(int(away.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter the namespace %s: %w", n, err)
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("leave the namespace %s: %w", n, back)) // the thread ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// run runs a program in the namespace to its end and returns its standard output. line has program and arguments, separated by spaces.
func (n namespace) run(ctx context.Context, line string) (string, error) {
	return n.feed(ctx, "", strings.Fields(line)...)
}

// feed is run with a standard input, and with arguments that may contain spaces.
func (n namespace) feed(ctx context.Context, input string, args ...string) (string, error) {
	return finish(ctx, input, append([]string{"ip", "netns", "exec", string(n)}, args...))
}

// host runs a program in the namespace of this program.
func host(ctx context.Context, line string) (string, error) {
	return finish(ctx, "", strings.Fields(line))
}

func finish(ctx context.Context, input string, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = ownSession()
	cmd.WaitDelay = time.Second
	var out, faults bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &faults
	if err := cmd.Run(); err != nil {
		output := strings.TrimSpace(faults.String() + out.String())
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, end(output, 3))
	}
	return out.String(), nil
}

// end returns the last lines of text.
func end(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// await polls until condition returns nil.
func await(ctx context.Context, what string, condition func() error) error {
	return poll(ctx, 10*time.Millisecond, what, condition)
}

func poll(ctx context.Context, every time.Duration, what string, condition func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	again := time.NewTicker(every)
	defer again.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", what, ctx.Err(), err)
		}
	}
}

// pause waits for a duration, or until the context is done.
func pause(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
