package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// testTimeout bounds the run time of a child process; it allows for a busy machine.
const testTimeout = 60 * time.Second

// entered is the prefix of the line, with its Report, that a child prints after Enter has returned.
const entered = "entered "

// runChild is the main function of a child, and returns its exit code.
func runChild(name string, with []string) int {
	run, known := children()[name]
	if !known {
		return complain(fmt.Errorf("no child is called %q", name))
	}
	if slices.Contains(with, "drop first") {
		if err := new(set).apply(); err != nil {
			return complain(err)
		}
	}
	policy := Policy{Datagrams: slices.Contains(with, "datagrams")}
	if slices.Contains(with, "descriptors") {
		policy.Descriptors = testDescriptors
	}
	report, err := enter(policy, layers{
		landlock:     slices.Contains(with, "landlock"),
		capabilities: slices.Contains(with, "capabilities"),
		seccomp:      slices.Contains(with, "seccomp"),
	})
	if err != nil {
		return complain(err)
	}
	text, err := json.Marshal(report)
	if err != nil {
		return complain(err)
	}
	fmt.Printf("%s%s\n", entered, text)
	if err := run(); err != nil {
		return complain(err)
	}
	return 0
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// children are the functions that a child can run in the sandbox.
func children() map[string]func() error {
	all := map[string]func() error{"idle": idle, "work": work, "panic": panics, "signalled": signalled, "stopped": stopped, "duplicates": duplicates}
	for _, attempts := range []map[string]func() error{forbidden(), withFiles(), reaches(), powers()} {
		for name, try := range attempts {
			all[name] = func() error { return report(try()) }
		}
	}
	return all
}

// report prints the result of an operation that a layer may refuse.
func report(err error) error {
	fmt.Println("tried:", err)
	return nil
}

// idle waits until its standard input ends.
func idle() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// everything has all layers of Enter.
func everything() []string { return []string{"landlock", "capabilities", "seccomp"} }

// A started is a child that has entered the sandbox.
type started struct {
	t      *testing.T
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *bufio.Reader
	errors *bytes.Buffer // valid after the child's end
	report Report
}

// startChild starts a child with the given layers, and waits until it has entered the sandbox.
func startChild(t *testing.T, name string, with []string, change ...func(*exec.Cmd)) *started {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	s := &started{t: t, errors: new(bytes.Buffer)}
	s.cmd = exec.CommandContext(ctx, os.Getenv(binaryVariable), append([]string{childPrefix + name}, with...)...)
	s.cmd.Stderr = s.errors
	s.cmd.Dir = "/"
	for _, f := range change {
		f(s.cmd)
	}
	input, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.input, s.output = input, bufio.NewReader(output)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.input.Close(); cancel(); _ = s.cmd.Wait() })
	s.awaitReport()
	return s
}

func (s *started) awaitReport() {
	s.t.Helper()
	line, _ := s.output.ReadString('\n')
	text, in := strings.CutPrefix(line, entered)
	if !in {
		_ = s.cmd.Wait()
		s.t.Fatalf("the child is not in the sandbox: it says %q, %s %s", line, s.errors, s.cmd.ProcessState)
	}
	if err := json.Unmarshal([]byte(text), &s.report); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the child's end, and returns the rest of its output.
func (s *started) end() (string, *os.ProcessState) {
	s.t.Helper()
	s.input.Close()
	rest, err := io.ReadAll(s.output)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = s.cmd.Wait()
	return string(rest), s.cmd.ProcessState
}

// wantSuccess waits for the child's end and expects exit code 0.
func (s *started) wantSuccess() {
	s.t.Helper()
	if rest, state := s.end(); !state.Success() {
		s.t.Errorf("%s; it said:\n%s%s", state, rest, s.errors)
	}
}
