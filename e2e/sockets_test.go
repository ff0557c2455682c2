package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestSockets boots a guest whose QEMU has no tap and no privilege for one, but a unix socket to podswitch. QEMU gets the arguments that
// podswitch qemu-args prints.
func TestSockets(t *testing.T) {
	need(t, "qemu-system-x86_64", "cpio")
	image := strings.TrimSpace(must(t, "kit/guest-image"))
	for _, kind := range []string{"stream", "dgram"} {
		t.Run(kind, func(t *testing.T) {
			l := newLab(t)
			dir := socketDir(t)
			guest := "stream:" + filepath.Join(dir, "s")
			if kind == "dgram" {
				guest = "dgram:" + filepath.Join(dir, "a") + "," + filepath.Join(dir, "b")
			}
			p := l.podswitch("--guest", guest)
			net, errs, code := l.verb("qemu-args", "--guest", guest, "--guest-mac", "02:00:00:00:00:01")
			if code != 0 {
				t.Fatalf("qemu-args: %s", errs)
			}
			args := vmWithSocket(image, strings.Split(strings.TrimSpace(net), "\n"))
			vm := start(t, "qemu-system-x86_64", args...)
			vm.awaitFor(bootTime, "guest: lease "+podAddress+"/24")
			l.awaitHolder("guest")
			await(t, "the guest to be reached", func() error { return pings(l.peer, podAddress) })
			_ = vm.cmd.Process.Kill()
			vm.wait()
			if kind == "stream" { // a datagram socket does not report that its peer was closed
				l.awaitHolder("switch")
				vm = start(t, "qemu-system-x86_64", args...)
				vm.awaitFor(bootTime, "guest: lease "+podAddress+"/24")
				await(t, "the guest to be reached again", func() error { return pings(l.peer, podAddress) })
			}
			p.stop()
		})
	}
}

// vmWithSocket returns QEMU's arguments for a guest that gets a lease and keeps running. netdev has the arguments of its interface.
func vmWithSocket(image string, netdev []string) []string {
	return append([]string{"-accel", "tcg", "-machine", "q35", "-cpu", "max", "-m", "256", "-nodefaults", "-display", "none",
		"-serial", "stdio", "-no-reboot", "-kernel", filepath.Join(image, "kernel/image"), "-initrd", filepath.Join(image, "initramfs.gz"),
		"-append", "console=ttyS0 quiet panic=-1 guest.model=virtio guest.stay=yes"}, netdev...)
}
