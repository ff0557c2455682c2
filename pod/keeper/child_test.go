package keeper

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/vswitch"
)

// The roles of a switch in a process of its own. Each prints a line when it has started, or when it waits.
const (
	roleGood     = "good"     // answers all messages
	roleDeaf     = "deaf"     // starts, and then reads nothing
	roleSilent   = "silent"   // sends nothing
	roleWatchdog = "watchdog" // is no switch
	roleLeaves   = "leaves"   // starts, and then ends
	roleKilled   = "killed"   // starts, and then is killed by a signal
	roleFails    = "fails"    // starts, and then sends Fault
	roleStays    = "stays"    // starts, and then disconnects and lives on
)

// playSwitch is the main function of the process of a switch.
func playSwitch(role string) int {
	if role == roleWatchdog {
		if end, err := Watch(firstInherited); err != nil || end != EndKilled {
			fmt.Println("watchdog", end, err)
		}
		return 0
	}
	conn, err := grant.FromFile(os.NewFile(firstInherited, "the keeper"))
	if err != nil || role == roleSilent {
		fmt.Println("silent", err)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 1
	}
	if err := conn.Send(helloMessage()); err != nil {
		return 1
	}
	for {
		m, files, err := conn.Receive()
		if err != nil {
			return 1
		}
		_ = grant.CloseFiles(files)
		switch {
		case m.Opened != nil && m.Opened.Port == 1:
			err = conn.Send(readyMessage())
		case m.Begin != nil:
			if err = conn.Send(grant.Message{Started: &grant.Started{}}); err == nil {
				err = working(role, conn)
			}
		case m.Stop != nil && role == roleGood:
			_ = conn.Send(stoppedMessage())
			return 0
		}
		if err != nil {
			return 1
		}
	}
}

// working does what the role does after the start.
func working(role string, conn *grant.Conn) error {
	fmt.Println("started")
	switch role {
	case roleLeaves:
		return io.EOF
	case roleKilled:
		return unix.Kill(os.Getpid(), unix.SIGKILL)
	case roleFails:
		return conn.Send(faultMessage())
	case roleStays:
		conn.Close()
		_, _ = io.Copy(io.Discard, os.Stdin)
	case roleDeaf:
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	return nil
}

// TestRun checks that a keeper ends with the switch that it has started, with the reason, and that no process is left.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		role string
		stop bool // the keeper is stopped
		want string
	}{
		{roleGood, true, ""},
		{roleDeaf, true, ""},
		{roleSilent, true, ""},
		{roleLeaves, false, "without giving a reason"},
		{roleKilled, false, "killed"},
		{roleFails, false, "it does not work"},
	} {
		t.Run(c.role, func(t *testing.T) {
			dir := t.TempDir()
			var child *exec.Cmd
			working := make(chan string, 1)
			spawn := func(end *os.File) *exec.Cmd {
				child = exec.Command("/proc/self/exe")
				child.Env, child.ExtraFiles = append(os.Environ(), roleVariable+"="+c.role), []*os.File{end}
				stdout, err := child.StdoutPipe()
				if err != nil {
					t.Error(err)
				}
				if _, err := child.StdinPipe(); err != nil { // it stays open until the child has ended
					t.Error(err)
				}
				go func() {
					line, _ := bufio.NewReader(stdout).ReadString('\n')
					working <- line
				}()
				return child
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			result := make(chan error, 1)
			go func() { result <- Run(ctx, configOf(dir), spawn, filepath.Join(dir, "keeper")) }()
			within(t, "the switch to run", working)
			if c.stop {
				cancel()
			}
			err := within(t, "the end", result)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
			if child.ProcessState == nil {
				t.Error("the process has not ended")
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("files are left: %v, %v", left, err)
			}
		})
	}
}

// TestTakeoverEndsTheChild checks that the switch that the keeper has started ends after a takeover, even if it only disconnects.
func TestTakeoverEndsTheChild(t *testing.T) {
	k := newTestKeeper(t, shortTimeouts())
	c, err := start(func(end *os.File) *exec.Cmd {
		command := exec.Command("/proc/self/exe")
		command.Env, command.ExtraFiles = append(os.Environ(), roleVariable+"="+roleSilent), []*os.File{end}
		if _, err := command.StdinPipe(); err != nil { // it stays open until the child has ended
			t.Error(err)
		}
		return command
	})
	if err != nil {
		t.Fatal(err)
	}
	k.inside(func() { k.loop.child = c })
	k.handedOver()
	within(t, "the end of the child", c.ended)
}

// configOf returns the configuration of a plain switch with two datagram sockets in a directory.
func configOf(dir string) Config {
	socket := func(name string) hypervisor.Attachment {
		return hypervisor.Attachment{Kind: hypervisor.KindDgram, Name: filepath.Join(dir, name)}
	}
	return Config{
		Switch:  &SwitchConfig{Ports: []hypervisor.Attachment{socket("a"), socket("b")}, Bridge: vswitch.BridgeConfig{Ageing: time.Minute, Limit: 16}},
		Control: filepath.Join(dir, "control"), Owner: -1, Log: zap.NewNop(), ExitCode: func(error) int { return testExitCode },
	}
}

// TestRunCannot checks that a keeper that cannot open its ports or start its switch returns an error and leaves nothing.
func TestRunCannot(t *testing.T) {
	none := func(*os.File) *exec.Cmd { return exec.Command(filepath.Join(t.TempDir(), "none")) }
	for name, prepare := range map[string]func(dir string, cfg *Config){
		"start the switch": func(string, *Config) {},
		"open the control": func(_ string, cfg *Config) { cfg.Control = "/dev/null/control" },
		"open a port":      func(dir string, cfg *Config) { cfg.Switch.Ports[1].Name = filepath.Join(dir, "none", "b") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cfg := configOf(dir)
			prepare(dir, &cfg)
			before := openDescriptors(t)
			if err := Run(t.Context(), cfg, none, ""); err == nil {
				t.Error("Run returns no error")
			}
			if after := openDescriptors(t); after > before { // an earlier test may close one meanwhile
				t.Errorf("%d descriptors are open, %d were before", after, before)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("files are left: %v, %v", left, err)
			}
		})
	}
}

// TestWatchdog checks that close ends the watchdog's pair and waits for its process, and that a failed start is an error.
func TestWatchdog(t *testing.T) {
	before := openDescriptors(t)
	w, err := startWatchdog(endOfPair, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	w.close()
	if !w.command.ProcessState.Success() {
		t.Errorf("the watchdog ends with %s", w.command.ProcessState)
	}
	if _, err := startWatchdog(func(*os.File) *exec.Cmd { return exec.Command("/nonexistent") }, zap.NewNop()); err == nil {
		t.Error("a command that does not exist was started")
	}
	var none *watchdog
	none.close()
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

// TestWatchdogAgain checks that another watchdog replaces one that has ended too early, and that this is bounded.
func TestWatchdogAgain(t *testing.T) {
	for _, early := range []int{watchdogBurst, watchdogBurst + 1} {
		var started []*exec.Cmd
		last := make(chan struct{})
		w, err := startWatchdog(func(end *os.File) *exec.Cmd {
			c := exec.Command("true")
			if len(started) == early {
				c = endOfPair(end)
				close(last)
			}
			started = append(started, c)
			return c
		}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		if early > watchdogBurst {
			within(t, "the end of all watchdogs", w.ended)
		} else {
			within(t, "the last watchdog", last)
		}
		w.close()
		if failed := w.failure() != nil; failed != (early > watchdogBurst) || len(started) != watchdogBurst+1 {
			t.Errorf("after %d early ends: %v, and %d watchdogs were started", early, w.failure(), len(started))
		}
	}
}

// endOfPair makes a watchdog that waits for the end of the pair.
func endOfPair(end *os.File) *exec.Cmd { return afterPair("")(end) }
