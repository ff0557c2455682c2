package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFullDisk: a command whose output cannot be written says so, and fails.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	vm := filepath.Join(t.TempDir(), "vm.yaml")
	if err := os.WriteFile(vm, []byte(redDocument("")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"--help", "help", "help run", "run --help", "version", "--version", "completion bash", "check " + vm,
		"qemu-args --guest packet:tap0", "qemu-args -o json --guest packet:tap0", "libvirt-xml --guest packet:tap0",
		"replay --bridge --in guest ../../testdata/replay/bridge.pcapng", "restore --state-dir " + t.TempDir()} {
		var stderr strings.Builder
		code := run(t.Context(), strings.Fields(args), strings.NewReader(""), full, &stderr)
		if code != exitFailed || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("%s: exit code %d, %q; want 1 and the cause", args, code, stderr.String())
		}
	}
}
