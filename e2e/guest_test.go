package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/e2e/kit/guest"
)

// bootTime is how long a guest may take: three seconds on an idle machine, a minute on a busy one.
const bootTime = 3 * time.Minute

// guestTask is what the virtual machine does with its network.
const guestTask = `
echo "guest: fetched $(timeout 60 wget -q -O - http://10.244.1.8:8000/file | sha256sum)"
mkdir /www && head -c 10000000 /dev/urandom > /www/file && echo "guest: serves $(sha256sum < /www/file)"
httpd -p 80 -h /www
`

// TestVirtualMachine boots a real guest on a tap that QEMU holds: it gets the pod's address from podswitch, fetches a file and
// serves one. When it is gone, the pod stays reachable.
func TestVirtualMachine(t *testing.T) {
	need(t, "qemu-system-x86_64", "busybox", "curl", "cpio")
	l := newLab(t)
	l.pod.batch("tuntap add tap0 mode tap", "link set tap0 mtu 1450")
	www := t.TempDir()
	served := sum(t, write(t, filepath.Join(www, "file"), string(newPattern(1).next(0)), 0o644))
	l.peer.start("busybox", "httpd", "-f", "-p", "8000", "-h", www)
	p := l.podswitch("--guest", "packet:tap0")
	vm, err := guest.Start(guest.Config{Namespace: l.pod.name, Task: guestTask, Stay: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(vm.Stop)
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	lease, err := vm.Lease(ctx)
	if err != nil || lease.Address.String() != podAddress+"/24" {
		t.Fatalf("lease %+v, %v\n%s", lease, err, vm.Console())
	}
	l.awaitHolder("guest")
	if _, err := vm.Await(ctx, "guest: task done status=0"); err != nil {
		t.Fatalf("%v\n%s", err, vm.Console())
	}
	if !strings.Contains(vm.Console(), "guest: fetched "+served) {
		t.Errorf("the guest fetched another file than %s\n%s", served, vm.Console())
	}
	l.peer.must("ping", "-c2", "-i0.2", "-W2", podAddress)
	file := filepath.Join(t.TempDir(), "file")
	l.peer.must("curl", "-sS", "--fail", "--max-time", "60", "-o", file, "http://"+podAddress+"/file")
	if fetched := sum(t, file); !strings.Contains(vm.Console(), "guest: serves "+fetched) {
		t.Errorf("the file from the guest has sum %s, the guest says otherwise\n%s", fetched, vm.Console())
	}
	vm.Stop()
	l.awaitHolder("switch")
	l.peer.must("ping", "-c1", "-W2", podAddress)
	p.stop()
}

// sum is the SHA-256 of a file.
func sum(t *testing.T, file string) string {
	t.Helper()
	return strings.Fields(must(t, "sha256sum", file))[0]
}
