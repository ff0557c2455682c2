package hypervisor

// Tests of the arguments with a real QEMU, without a guest. QEMU creates the machine, does not start it, reports its properties by QMP
// and quits. It creates the tap in a network namespace that ends with the process.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podswitch/podswitch/model"
)

const qemuProgram = "qemu-system-x86_64"

// TestQEMU starts QEMU with the arguments of every document of testdata/hypervisor and compares the properties of the card.
func TestQEMU(t *testing.T) {
	program := needQEMU(t)
	for _, c := range readCases(t) {
		c.guest = movePaths(t, c.guest)
		args, err := QEMUArgs(c.vm, c.guest, c.settings)
		if err != nil {
			continue // the golden file has the error
		}
		t.Run(c.name, func(t *testing.T) {
			needDevice(t, program, deviceName(c.vm.Interface.Model))
			q, err := startQEMU(t, program, args)
			if err != nil {
				t.Fatalf("%q: %v", args, err)
			}
			want := wanted(t, &c)
			for property, value := range want {
				if got := q.property(t, "/machine/peripheral/nic-"+c.vm.Interface.Name, property); got != value {
					t.Errorf("%s is %s, want %s", property, got, value)
				}
			}
			if c.vm.Interface.State == model.Down {
				q.followNote(t, QEMUNotes(c.vm))
			}
			q.quit(t)
		})
	}
}

// TestQEMURefuses checks that TestQEMU fails for arguments that QEMU rejects.
func TestQEMURefuses(t *testing.T) {
	program := needQEMU(t)
	args, err := QEMUArgs(model.Default(), Attachment{KindPacket, "tap0"}, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range map[int]string{1: ",nonsense=1", 3: ",nonsense=1"} {
		wrong := slices.Clone(args)
		wrong[i] += value
		if _, err := startQEMU(t, program, wrong); err == nil || !strings.Contains(err.Error(), "nonsense") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// wanted returns the expected properties of the card, in JSON.
func wanted(t *testing.T, c *testCase) map[string]string {
	t.Helper()
	e, err := resolve(c.vm, c.guest, c.settings)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"mac":        fmt.Sprintf("%q", e.mac),
		"type":       fmt.Sprintf("%q", deviceName(e.Model)),
		"acpi-index": fmt.Sprint(e.ACPIIndex),
		"bootindex":  fmt.Sprint(int64(e.BootOrder)),
	}
	if e.BootOrder == 0 {
		want["bootindex"], want["romfile"] = "-1", `""`
	}
	if e.Model == model.Virtio {
		want["host_mtu"], want["mq"] = fmt.Sprint(e.mtu), fmt.Sprint(e.queues > 1)
	}
	if e.Model == model.Virtio {
		want["host_ufo"] = fmt.Sprint(c.guest.Kind != KindPacket)
	}
	if e.queues > 1 {
		want["vectors"] = fmt.Sprint(2*e.queues + 2)
	}
	if e.PCIAddress != "" {
		want["addr"] = fmt.Sprint(e.pci.slot<<3 | e.pci.function)
	}
	return want
}

// movePaths moves the sockets of an attachment into a directory of the test and creates podswitch's side of them.
func movePaths(t *testing.T, a Attachment) Attachment {
	t.Helper()
	if a.Kind != KindStream && a.Kind != KindDgram {
		return a
	}
	dir, err := os.MkdirTemp("", "hv") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var end io.Closer
	if a.Kind == KindStream {
		a.Name = filepath.Join(dir, filepath.Base(a.Name))
		end, err = net.Listen("unix", a.Name)
	} else {
		local, remote := a.paths()
		local, remote = filepath.Join(dir, filepath.Base(local)), filepath.Join(dir, filepath.Base(remote))
		a.Name = local + "," + remote
		end, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: local, Net: "unixgram"})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end.Close() })
	return a
}

// needQEMU skips the test if QEMU, root or /dev/net/tun is missing.
func needQEMU(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath(qemuProgram)
	if err != nil {
		t.Skipf("needs %s: %v", qemuProgram, err)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a tap in a network namespace")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("needs /dev/net/tun: %v", err)
	}
	return program
}

// needDevice skips the test if QEMU lacks the device igb, which QEMU 8.0 introduced.
func needDevice(t *testing.T, program, device string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, "-device", device+",help").CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", device, err, out)
	}
	if bytes.Contains(out, []byte("not found")) && device == string(model.IGB) {
		t.Skipf("needs a QEMU with the device %s: %s", device, bytes.TrimSpace(out))
	}
}

// A qemu is a running QEMU with its QMP monitor (QEMU's qmp-spec).
type qemu struct {
	cmd    *exec.Cmd
	in     io.Writer
	out    *bufio.Scanner
	errors *bytes.Buffer
}

// startQEMU starts QEMU with args and the PCI ports that the documents use. The error contains QEMU's messages.
func startQEMU(t *testing.T, program string, args []string) (*qemu, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	base := []string{"-machine", "q35", "-accel", "tcg", "-m", "16", "-S", "-display", "none", "-nodefaults", "-no-user-config", "-qmp", "stdio",
		"-device", "pcie-root-port,id=port1,chassis=1", "-device", "pcie-root-port,id=port2,chassis=2"}
	q := &qemu{cmd: exec.CommandContext(ctx, program, append(base, args...)...), errors: new(bytes.Buffer)}
	q.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	q.cmd.Stderr = q.errors
	in, err := q.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := q.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	q.in, q.out = in, bufio.NewScanner(out)
	if err := q.cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() { // does nothing after quit
		cancel()
		q.cmd.Wait()
	})
	// QEMU greets before it creates its devices, and answers the first command after.
	if _, err := q.ask("qmp_capabilities", nil); err != nil {
		return nil, errors.Join(err, q.cmd.Wait(), errors.New(q.errors.String()))
	}
	return q, nil
}

// ask sends a command and returns its answer. It skips the greeting and events.
func (q *qemu) ask(command string, arguments map[string]string) (json.RawMessage, error) {
	request, err := json.Marshal(struct {
		Execute   string            `json:"execute"`
		Arguments map[string]string `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return nil, err
	}
	if _, err := q.in.Write(append(request, '\n')); err != nil {
		return nil, err
	}
	for q.out.Scan() {
		var answer struct{ Return, Error json.RawMessage }
		if err := json.Unmarshal(q.out.Bytes(), &answer); err != nil {
			return nil, err
		}
		if answer.Error != nil {
			return nil, fmt.Errorf("%s %v: %s", command, arguments, answer.Error)
		}
		if answer.Return != nil {
			return answer.Return, nil
		}
	}
	return nil, fmt.Errorf("%s: QEMU ended before it answered", command)
}

// property returns a property of an object of the machine, in JSON.
func (q *qemu) property(t *testing.T, path, name string) string {
	t.Helper()
	value, err := q.ask("qom-get", map[string]string{"path": path, "property": name})
	if err != nil {
		t.Error(err)
	}
	return string(value)
}

// followNote enters the command of the last note, which follows the last colon, into the monitor. The monitor answers only errors.
func (q *qemu) followNote(t *testing.T, notes []string) {
	t.Helper()
	words := strings.Split(strings.Join(notes, "\n"), ": ")
	said, err := q.ask("human-monitor-command", map[string]string{"command-line": words[len(words)-1]})
	if err != nil || string(said) != `""` {
		t.Errorf("%q: %s %v", words, said, err)
	}
}

// quit ends QEMU, which must not have printed any message.
func (q *qemu) quit(t *testing.T) {
	t.Helper()
	if _, err := q.ask("quit", nil); err != nil {
		t.Error(err)
	}
	if err := q.cmd.Wait(); err != nil {
		t.Errorf("QEMU: %v", err)
	}
	if q.errors.Len() > 0 {
		t.Errorf("QEMU printed: %s", q.errors)
	}
}
