package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestOtherProcessors runs the tests of the filter on the other architectures, in QEMU's user emulation. It has no seccomp filters, so
// that no kernel decides by these filters.
func TestOtherProcessors(t *testing.T) {
	for architecture, emulated := range map[string]string{
		"amd64": "x86_64", "arm64": "aarch64", "loong64": "loongarch64", "ppc64le": "ppc64le", "riscv64": "riscv64", "s390x": "s390x",
	} {
		t.Run(architecture, func(t *testing.T) {
			emulator, err := exec.LookPath("qemu-" + emulated + "-static")
			if runtime.GOARCH == architecture || err != nil {
				t.Skip("this processor, or needs qemu-user-static")
			}
			binary := filepath.Join(t.TempDir(), "test")
			build := exec.Command("go", "test", "-c", "-o", binary, ".")
			build.Env = append(os.Environ(), "GOARCH="+architecture, "CGO_ENABLED=0")
			if text, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			const tests = "^(TestFilter|TestConditions|TestOtherConventions|TestNames|TestSocketCall)$"
			if text, err := exec.Command(emulator, binary, "-test.run", tests).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}
