package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

const scriptVariable = "SUPERVISE_TEST_SCRIPT"

// again is the exit code after which the program of a test is started again.
const again = 75

// TestMain makes the test's program a supervisor if the environment has a script: a supervisor waits for every child of its process.
func TestMain(m *testing.M) {
	if script, ok := os.LookupEnv(scriptVariable); ok {
		os.Exit(superviseScript(script))
	}
	os.Exit(m.Run())
}

// superviseScript runs a supervisor that gets orphans, as the first process of a container does.
func superviseScript(script string) int {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	err := Run(ctx, Config{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Again: func(code int) bool { return code == again }, Log: zap.NewNop()})
	var exit *ExitError
	switch {
	case errors.As(err, &exit):
		return exit.Code
	case err != nil:
		fmt.Println(err)
		return 99
	}
	return 0
}

// supervisorOf returns the command of a supervisor whose script finds an empty directory as its working directory.
func supervisorOf(t *testing.T, script string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, "/proc/self/exe")
	c.Dir, c.Env = t.TempDir(), append(os.Environ(), scriptVariable+"="+script)
	c.WaitDelay = time.Second
	return c
}

func TestRun(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		starts int
		code   int
	}{
		"it ends":                      {`exit 0`, 1, 0},
		"it fails":                     {`exit 3`, 1, 3},
		"it is killed twice":           {`[ $(wc -l <starts) = 3 ] || kill -9 $$`, 3, 0},
		"it asks for another start":    {`[ $(wc -l <starts) = 2 ] || exit 75; exit 1`, 2, 1},
		"it is always killed":          {`kill -9 $$`, burst + 1, 99},
		"it asks often, until a stop":  {`[ $(wc -l <starts) -le $((` + fmt.Sprint(burst) + ` + 1)) ] || kill -TERM $PPID; exit 75`, burst + 2, 0},
		"it leaves an orphan":          {`orphan=$(sh -c 'true >/dev/null & echo $!'); while [ -e /proc/$orphan ]; do :; done`, 1, 0},
		"it ends while an orphan runs": {`sh -c 'exec sleep 60 >/dev/null & echo $!' >orphan; trap 'kill $(cat orphan)' EXIT`, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := supervisorOf(t, "echo >>starts; "+test.script)
			out, err := c.CombinedOutput()
			if code := c.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d: %v %s", code, test.code, err, out)
			}
			starts, _ := os.ReadFile(filepath.Join(c.Dir, "starts"))
			if got := strings.Count(string(starts), "\n"); got != test.starts {
				t.Errorf("%d starts, want %d", got, test.starts)
			}
		})
	}
}

// TestStop checks that the program is asked to end when the supervisor is, and when the supervisor is killed.
func TestStop(t *testing.T) {
	const script = `trap 'echo asked; exit 4' TERM; echo started; while :; do sleep 0.01; done`
	for sig, code := range map[syscall.Signal]int{syscall.SIGTERM: 4, syscall.SIGKILL: -1} {
		t.Run(sig.String(), func(t *testing.T) {
			c := supervisorOf(t, script)
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			if !lines.Scan() || lines.Text() != "started" {
				t.Fatalf("%q, want started", lines.Text())
			}
			_ = c.Process.Signal(sig)
			if !lines.Scan() || lines.Text() != "asked" {
				t.Errorf("%q, want asked", lines.Text())
			}
			_ = c.Wait()
			if got := c.ProcessState.ExitCode(); got != code {
				t.Errorf("exit code %d, want %d", got, code)
			}
		})
	}
}

// TestKilledWhileStopping checks that a program that does not outlive the request to end is not started again.
func TestKilledWhileStopping(t *testing.T) {
	if err := supervisorOf(t, `kill -TERM $PPID; while :; do sleep 0.01; done`).Run(); err != nil {
		t.Error(err)
	}
}

// TestKilledBeforeItHasEnded checks that the end of a program that could not do what it does at its end is an error.
func TestKilledBeforeItHasEnded(t *testing.T) {
	out, err := supervisorOf(t, `trap 'kill -9 $$' TERM; kill -TERM $PPID; while :; do sleep 0.01; done`).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "killed (killed) before it had ended as asked") {
		t.Errorf("%v, %q", err, out)
	}
}

func TestMissingProgram(t *testing.T) {
	err := Run(context.Background(), Config{Path: "/does/not/exist", Args: []string{"x"}, Log: zap.NewNop()})
	if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
