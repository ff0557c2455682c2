package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ordinaryUser is a user without any privilege.
const ordinaryUser = "65534"

// TestRootless runs some other tests as an ordinary user in a user namespace: podswitch needs no root if the network namespace belongs to
// its user namespace.
func TestRootless(t *testing.T) {
	tests := []string{"TestKeep", "TestDeny", "TestCrashRecovery", "TestKillAtStart", "TestSwitch", "TestPlainBridge", "TestTakeoverSettings"}
	need(t, "setpriv", "unshare")
	if os.Getenv(programVariable) != "" {
		t.Skip("this run was started by TestRootless itself")
	}
	dir := sharedFolder(t)
	for name, from := range map[string]string{"tests": os.Args[0], "podswitch": program} {
		copyFile(t, filepath.Join(dir, name), from)
	}
	script := fmt.Sprintf(`mount -t tmpfs tmpfs /run && mkdir /run/netns && exec env %s=%s/podswitch HOME=/tmp %[2]s/tests -test.v -test.run '^(%s)$'`,
		programVariable, dir, strings.Join(tests, "|"))
	p := start(t, "unshare", "-m", "sh", "-c", asOrdinaryUser, "sh", dir, "666", "unshare", "-Urnm", "sh", "-c", script)
	awaitFor(t, 10*timeout, "the tests of an ordinary user", func() error {
		select {
		case <-p.done:
			return nil
		default:
			return fmt.Errorf("not finished:\n%s", p.text())
		}
	})
	for _, name := range tests {
		if !strings.Contains(p.text(), "--- PASS: "+name+" ") {
			t.Errorf("%s did not pass as an ordinary user", name)
		}
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// asOrdinaryUser is a shell script with the arguments DIRECTORY MODE COMMAND... It makes a tun device in DIRECTORY with MODE, mounts it over
// /dev/net/tun in its mount namespace, and executes COMMAND as an ordinary user.
const asOrdinaryUser = `set -e
mknod "$1/tun" c 10 200
chmod "$2" "$1/tun"
mount --bind "$1/tun" /dev/net/tun
shift 2
exec setpriv --reuid ` + ordinaryUser + ` --regid ` + ordinaryUser + ` --clear-groups "$@"`

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	r, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err == nil {
		_, err = io.Copy(w, r)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestRootlessImpossible checks the messages for a user without the necessary privileges, and that nothing is changed.
func TestRootlessImpossible(t *testing.T) {
	l := newLab(t)
	before := l.pristine()
	ownPod := []string{"unshare", "-Urn", "sh", "-c", "ip link add eth0 type veth peer name other && ip addr add 192.0.2.1/24 dev eth0 && " +
		`ip link set eth0 up && ip link set other up && exec "$@"`, "sh"}
	for _, c := range []struct {
		what, mode string
		args       []string
		want       []string // parts of the message
	}{
		{"without the device for taps", "600", append(slices.Clone(ownPod), program, "run"), []string{"/dev/net/tun"}},
		{"of a foreign pod", "666", []string{program, "run"}, []string{"CAP_NET_"}},
		{"of a foreign pod, with an existing device for the guest", "666", []string{program, "run", "--guest", "packet:tap0"}, []string{"CAP_NET_"}},
		{"beside a foreign podswitch", "666", []string{program, "run", "--takeover"}, []string{"connect to the keeper"}},
	} {
		dir := sharedFolder(t)
		args := append([]string{"unshare", "-m", "sh", "-c", asOrdinaryUser, "sh", dir, c.mode}, c.args...)
		_, errs, code := l.pod.run(append(args, "--state-dir", filepath.Join(os.TempDir(), filepath.Base(dir)+"-state"))...)
		if code != 3 {
			t.Errorf("a user %s: exit code %d, want 3: %s", c.what, code, errs)
		}
		for _, want := range c.want {
			if !strings.Contains(errs, want) {
				t.Errorf("a user %s: the message does not name %q: %s", c.what, want, errs)
			}
		}
		os.RemoveAll(filepath.Join(os.TempDir(), filepath.Base(dir)+"-state"))
	}
	if after := l.pristine(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// TestRootlessTaps checks that a user without privileges can connect two taps that root has made for that user.
func TestRootlessTaps(t *testing.T) {
	l := newLab(t)
	l.pod.batch("tuntap add t0 mode tap user "+ordinaryUser, "tuntap add t1 mode tap user "+ordinaryUser, "link set t0 up", "link set t1 up")
	dir := sharedFolder(t)
	socket := filepath.Join(os.TempDir(), filepath.Base(dir)+"-control", "sock")
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(socket)) })
	cmd := exec.Command("ip", l.pod.in("unshare", "-m", "sh", "-c", asOrdinaryUser, "sh", dir, "666",
		program, "switch", "--port", "tap:t0", "--port", "tap:t1", "--control", socket)...)
	p := startCmd(t, cmd)
	p.awaitText("ready")
	l.pod.batch("link set t0 netns "+l.guest.name, "link set t1 netns "+l.peer.name)
	l.guest.batch("addr add 192.0.2.1/24 dev t0", "link set t0 up")
	l.peer.batch("addr add 192.0.2.2/24 dev t1", "link set t1 up")
	l.guest.must("ping", "-c2", "-i0.2", "-W2", "192.0.2.2")
	l.exchangeAll(t, l.guest, l.peer, "192.0.2.2")
	p.stop()
}

// TestRootlessDemo runs the demo, which makes all its namespaces itself, as an ordinary user.
func TestRootlessDemo(t *testing.T) {
	need(t, "setpriv", "unshare", "qemu-system-x86_64", "cpio")
	must(t, "kit/guest-image") // the user cannot write the cache of the repository
	dir := sharedFolder(t)
	work, err := os.MkdirTemp("", "demo-")
	if err == nil {
		err = os.Chmod(work, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(work) })
	p := start(t, "unshare", "-m", "sh", "-c", asOrdinaryUser, "sh", dir, "666", "env", "HOME="+work, "TMPDIR="+work, "PODSWITCH="+program, "kit/demo")
	p.awaitFor(bootTime, "The pod has its addresses back, exactly as they were.")
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
		t.Errorf("the demo has left %v: %v", left, err)
	}
}
