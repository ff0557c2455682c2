// Package guest boots a small Linux guest in QEMU for tests and reads what it prints on its console.
//
// It runs the script guest-run, which chooses QEMU's options and calls guest-image to make the kernel and the initramfs. The file
// init in this folder is the guest's first process and documents the lines that it prints. A test starts a guest with a task, a
// shell script for the guest's busybox, and waits for lines:
//
//	vm, err := guest.Start(guest.Config{Namespace: pod, Task: "wget -qO- http://10.244.1.8/"})
//	defer vm.Stop()
//	lease, err := vm.Lease(ctx)
//	line, err := vm.Await(ctx, "guest: task done ")
package guest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// A Config describes a guest and its network. The zero value is a guest with a virtio card on tap0 of the calling process's
// network namespace, which gets a lease and powers off.
type Config struct {
	Namespace string // named network namespace of the tap (ip-netns(8)); empty: the caller's
	Tap       string // name of the tap; empty: tap0
	Model     string // a model of the table e2e/kit/models; empty: virtio
	MAC       string // the guest's MAC; empty: 02:00:00:00:00:01
	Task      string // a shell script that the guest runs after it has got its lease; empty: none
	Daemons   bool   // the guest has systemd-networkd and NetworkManager, for the task
	NoDHCP    bool   // the guest's interface gets no address
	Stay      bool   // the guest keeps running after the task
}

// A Guest is a running virtual machine. Its methods may be called from any goroutine.
type Guest struct {
	command *exec.Cmd
	stderr  strings.Builder // QEMU's own messages; complete once ended is closed
	ended   chan struct{}   // closed when QEMU has ended and its console is read to the end

	mu      sync.Mutex    // guards the following fields
	lines   []string      // the console so far, without line ends
	changed chan struct{} // closed and replaced when lines grows
	err     error         // why QEMU ended; valid once ended is closed
}

// Start starts a guest and does not wait for its boot. It makes the image first if necessary, which takes a few seconds and, once,
// needs a network. The caller must call Stop.
func Start(cfg Config) (*Guest, error) {
	script, err := runScript()
	if err != nil {
		return nil, err
	}
	task, err := writeTask(cfg.Task)
	if err != nil {
		return nil, err
	}
	arguments := append([]string{script}, cfg.arguments(task)...)
	if cfg.Namespace != "" {
		arguments = append([]string{"ip", "netns", "exec", cfg.Namespace}, arguments...)
	}
	g := &Guest{
		command: exec.Command(arguments[0], arguments[1:]...),
		ended:   make(chan struct{}),
		changed: make(chan struct{}),
	}
	g.command.Stderr = &g.stderr
	console, err := g.command.StdoutPipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("guest: console: %w", err), removeTask(task))
	}
	if err := g.command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("guest: start %s: %w", script, err), removeTask(task))
	}
	go g.read(console, task)
	return g, nil
}

// arguments returns the arguments of guest-run.
func (c Config) arguments(task string) []string {
	var arguments []string
	for _, option := range []struct{ name, value string }{
		{"--tap", c.Tap}, {"--model", c.Model}, {"--mac", c.MAC}, {"--task", task},
	} {
		if option.value != "" {
			arguments = append(arguments, option.name, option.value)
		}
	}
	for _, option := range []struct {
		name string
		on   bool
	}{{"--daemons", c.Daemons}, {"--no-dhcp", c.NoDHCP}, {"--stay", c.Stay}} {
		if option.on {
			arguments = append(arguments, option.name)
		}
	}
	return arguments
}

// read collects the console until QEMU ends.
func (g *Guest) read(console io.Reader, task string) {
	scanner := bufio.NewScanner(console)
	for scanner.Scan() {
		g.mu.Lock()
		g.lines = append(g.lines, strings.TrimRight(scanner.Text(), "\r"))
		close(g.changed)
		g.changed = make(chan struct{})
		g.mu.Unlock()
	}
	err := errors.Join(scanner.Err(), g.command.Wait(), removeTask(task))
	g.mu.Lock()
	g.err = err
	g.mu.Unlock()
	close(g.ended)
}

// Await returns the first line of the console since the start that begins with prefix. If there is none, it waits until ctx is done
// or the guest has ended, and returns an error with the console.
func (g *Guest) Await(ctx context.Context, prefix string) (string, error) {
	for seen := 0; ; {
		g.mu.Lock()
		lines, changed := g.lines, g.changed
		g.mu.Unlock()
		for ; seen < len(lines); seen++ {
			if strings.HasPrefix(lines[seen], prefix) {
				return lines[seen], nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("guest: no line %q: %w; console:\n%s", prefix, ctx.Err(), g.Console())
		case <-g.ended:
			if g.count() == seen {
				return "", fmt.Errorf("guest: ended without a line %q; console:\n%s%s", prefix, g.Console(), g.stderr.String())
			}
		}
	}
}

// count returns the number of console lines so far.
func (g *Guest) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.lines)
}

// Console returns the guest's output so far.
func (g *Guest) Console() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.lines, "\n")
}

// Wait waits until the guest has powered off. It returns an error if QEMU has failed or if ctx is done before.
func (g *Guest) Wait(ctx context.Context) error {
	select {
	case <-g.ended:
	case <-ctx.Done():
		return fmt.Errorf("guest: still up: %w; console:\n%s", ctx.Err(), g.Console())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return fmt.Errorf("guest: %w; QEMU printed: %s", g.err, g.stderr.String())
	}
	return nil
}

// Stop kills QEMU and waits until it has ended. It may be called more than once, and after the guest has powered off.
func (g *Guest) Stop() {
	select {
	case <-g.ended:
	default:
		_ = g.command.Process.Kill() // fails only if QEMU has ended meanwhile
		<-g.ended
	}
}

// runScript finds guest-run. The working directory of a test is below the module's root.
func runScript() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("guest: %w", err)
	}
	for {
		script := filepath.Join(folder, "e2e", "kit", "guest-run")
		if _, err := os.Stat(script); err == nil {
			return script, nil
		}
		if folder == filepath.Dir(folder) {
			return "", errors.New("guest: no e2e/kit/guest-run in any folder above this one: call Start from within the repository")
		}
		folder = filepath.Dir(folder)
	}
}

// writeTask writes the task to a temporary file and returns its path, or "" if there is no task.
func writeTask(task string) (string, error) {
	if task == "" {
		return "", nil
	}
	file, err := os.CreateTemp("", "guest-task-")
	if err != nil {
		return "", fmt.Errorf("guest: task: %w", err)
	}
	_, err = file.WriteString(task + "\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("guest: task: %w", err), removeTask(file.Name()))
	}
	return file.Name(), nil
}

// removeTask removes what writeTask wrote.
func removeTask(path string) error {
	if path == "" {
		return nil
	}
	return os.Remove(path)
}
