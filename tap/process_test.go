package tap

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vswitch"
)

// deviceVariable is the environment variable that makes the test program the other process, and has the JSON of its Device.
const deviceVariable = "PODSWITCH_TEST_DEVICE"

// TestOtherProcess opens devices in this process and passes them to another one, which has no capability, is in another namespace, and
// is killed if it makes an ioctl. The queued frames arrive there, and the frames that it sends arrive here.
func TestOtherProcess(t *testing.T) {
	if text := os.Getenv(deviceVariable); text != "" {
		echo(t, text)
		return
	}
	for _, offload := range []bool{true, false} {
		inNamespace(t, func(t *testing.T) {
			veth(t, "1500")
			tap := openDevice(t, Spec{KindTap, "tap9"}, offload)
			ip(t, "link set tap9 up")
			kernel, a := open(t, Spec{KindPacket, "tap9"}, offload), open(t, Spec{KindPacket, "v0"}, offload)
			inherited, err := InheritDevice(boundSocket(t, "v1"), Options{Offload: offload})
			if err != nil {
				t.Error(err)
				return
			}
			echoes(t, kernel, tap)
			echoes(t, a, openDevice(t, Spec{KindPacket, "v1"}, offload))
			echoes(t, a, inherited)
		})
	}
}

// waitingFrames is the number of frames queued for the port of the other process.
const waitingFrames = 100

func echoes(t *testing.T, from vswitch.Port, d Device) {
	t.Helper()
	for i := range waitingFrames {
		from.Transmit([]vswitch.Frame{numbered(i)})
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Error(err)
		return
	}
	file := os.NewFile(uintptr(d.FD), d.Name)
	defer file.Close()
	command := exec.Command("/proc/self/exe", "-test.run=^TestOtherProcess$")
	command.Env = append(os.Environ(), deviceVariable+"="+string(text))
	command.ExtraFiles = []*os.File{file}
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET} // without a user mapping, so without capabilities
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", text, err, out)
		return
	}
	if got, err := collect(from, waitingFrames); err != nil || len(got) != 1 {
		t.Errorf("%s: frames %v come back, %v", text, got, err)
	}
}

// echo is the other process. The device's descriptor is the first one that it has inherited.
func echo(t *testing.T, text string) {
	if _, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); !errors.Is(err, unix.EPERM) {
		t.Fatalf("a packet socket: %v; want none, for want of privilege", err)
	}
	forbidIoctl(t)
	var d Device
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	d.FD = 3
	p, err := d.Port(new(vswitch.Counters))
	if err != nil {
		t.Fatal(err)
	}
	numbers, err := collect(p, waitingFrames-1)
	if err != nil || len(numbers) != waitingFrames {
		t.Fatalf("%d frames of %d, %v", len(numbers), waitingFrames, err)
	}
	p.Transmit([]vswitch.Frame{numbered(waitingFrames)})
	if drops := p.Counters().Drops(); len(drops) > 0 {
		t.Errorf("drops %v", drops)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// forbidIoctl makes the kernel kill this process for an ioctl (seccomp(2)).
func forbidIoctl(t *testing.T) {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call: struct seccomp_data
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_IOCTL, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	noNew := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) // for this thread; TSYNC applies it to the others
	_, _, installed := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if noNew != nil || installed != 0 {
		t.Fatalf("forbid ioctl: %v, %v", noNew, installed)
	}
}

// TestForbidIoctl: the other process does not survive an ioctl.
func TestForbidIoctl(t *testing.T) {
	const variable = "PODSWITCH_TEST_IOCTL"
	if os.Getenv(variable) != "" {
		forbidIoctl(t)
		_, _ = unix.IoctlGetInt(0, unix.TUNGETFEATURES)
		return
	}
	command := exec.Command("/proc/self/exe", "-test.run=^TestForbidIoctl$")
	command.Env = append(os.Environ(), variable+"=1")
	out, err := command.CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != unix.SIGSYS {
		t.Errorf("it ended with %v; want the signal SIGSYS\n%s", err, bytes.TrimSpace(out))
	}
}
