package keeper

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
)

// TestCheck: what a keeper needs and does not have is found without opening anything.
func TestCheck(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("needs root: it has the capabilities that the test removes")
	}
	dir := t.TempDir()
	for text, want := range map[string]string{
		"stream:" + filepath.Join(dir, "socket"):             "",
		"dgram:" + filepath.Join(dir, "socket") + ",/nope/a": "", // the hypervisor's
		"packet:eth0": "",
		"fd:99999":    "use fd:99999: needs an open descriptor",
		"stream:" + filepath.Join(dir, "none", "socket"): "its directory does not exist",
		"dgram:" + filepath.Join(dir, "none", "socket"):  "its directory does not exist",
	} {
		guest, err := hypervisor.ParseAttachment(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(Check(guest)...); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestCheckCapabilities: each missing capability is named.
func TestCheckCapabilities(t *testing.T) {
	found := make(chan []error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine, because it has no capabilities any more
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			found <- []error{err}
			return
		}
		found <- Check(hypervisor.Attachment{Kind: hypervisor.KindPacket, Name: "tap0"})
	}()
	list := <-found
	for i, name := range []string{"CAP_NET_ADMIN", "CAP_NET_RAW"} {
		var lacks *missing.Error
		if len(list) != 2 || !errors.As(list[i], &lacks) || !strings.Contains(lacks.Need, name) {
			t.Fatalf("%v, want an error for each capability, in order", list)
		}
	}
}

// TestUselessKeeperEnds: a keeper that cannot serve any switch does not wait for one.
func TestUselessKeeperEnds(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("needs root: the check of capabilities comes first")
	}
	for name, want := range map[string]string{"nope9": "read interface nope9", "lo": "an Ethernet interface"} {
		dir := t.TempDir()
		pod := plan.Config{Settings: plan.Settings{VM: model.Default()}, PodInterface: name, StateDir: filepath.Join(dir, "state"),
			Guest: hypervisor.Attachment{Kind: hypervisor.KindStream, Name: filepath.Join(dir, "guest")}}
		cfg := Config{Pod: &pod, Control: filepath.Join(dir, "control"), Owner: -1, Log: zap.NewNop(), ExitCode: func(error) int { return 1 }}
		result := make(chan error, 1)
		go func() { result <- Listen(t.Context(), cfg, filepath.Join(dir, "listen"), filepath.Join(dir, "own")) }()
		err := within(t, "the end of the keeper", result)
		var lacks *missing.Error
		if !errors.As(err, &lacks) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a *missing.Error with %s", name, err, want)
		}
	}
}

// TestKeeperNamesTheFlag: an error of a socket names the flag of its path, and a keeper with a control socket that cannot be made does not
// wait for a switch.
func TestKeeperNamesTheFlag(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("needs root: the check of capabilities comes first")
	}
	for name, c := range map[string]struct {
		change func(cfg *Config, file string)
		want   string
	}{
		"control": {func(cfg *Config, file string) { cfg.Control = filepath.Join(file, "s") }, "name another path with --control)"},
		"control by default": {func(cfg *Config, file string) {
			cfg.Control, cfg.From = filepath.Join(file, "s"), "--control or --state-dir"
		}, "name another path with --control or --state-dir)"},
		"state directory":    {func(cfg *Config, file string) { cfg.Pod.StateDir = file }, "name another directory with --state-dir)"},
		"the guest's socket": {func(cfg *Config, file string) { cfg.Pod.Guest.Name = filepath.Join(file, "s") }, "--guest stream:"},
		"the guest's descriptor": {func(cfg *Config, file string) {
			cfg.Pod.Guest = hypervisor.Attachment{Kind: hypervisor.KindFD, Name: "99999"}
		}, "--guest fd:99999: "},
		"the port of a switch":     {func(cfg *Config, file string) { *cfg = configOf(filepath.Dir(file)); cfg.Switch.Ports[1].Name = file }, "--port dgram:"},
		"the pod interface":        {func(*Config, string) {}, "--pod-interface"},
		"control that another has": {func(cfg *Config, file string) { cfg.Control = heldSocket(t) }, "--pod-interface"}, // that may pass
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "file")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			pod := plan.Config{Settings: plan.Settings{VM: model.Default()}, PodInterface: "lo", StateDir: filepath.Join(dir, "state"),
				Guest: hypervisor.Attachment{Kind: hypervisor.KindStream, Name: filepath.Join(dir, "guest")}}
			cfg := Config{Pod: &pod, Control: filepath.Join(dir, "control"), Owner: -1, Log: zap.NewNop(), ExitCode: func(error) int { return 1 }}
			c.change(&cfg, file)
			result := make(chan error, 1)
			if cfg.Switch == nil {
				go func() { result <- Listen(t.Context(), cfg, filepath.Join(dir, "listen"), filepath.Join(dir, "own")) }()
			} else {
				go func() { result <- Run(t.Context(), cfg, nil, "") }()
			}
			if err := within(t, "the end of the keeper", result); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// heldSocket returns the path of a socket that another part of the test listens at.
func heldSocket(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "held")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return path
}
