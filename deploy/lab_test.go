package deploy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A lab is a node with a pod, whose containers are those of a manifest:
//
//	┌─ node ─────────────────┐   ┌─ pod ─────────────────────┐
//	│  vpod 10.244.1.1/24 ───┼───┼─ eth0 10.244.1.7/24       │
//	└────────────────────────┘   │  keeper   switch   qemu   │
//	                             └───────────────────────────┘
type lab struct {
	t         *testing.T
	node, pod string // network namespaces
	manifest  pod
	volumes   string // a directory with one directory per volume
}

var labs atomic.Int32

// fullMap is the uid_map of a user namespace with all users (user_namespaces(7)).
const fullMap = "0 0 4294967295"

func newLab(t *testing.T, manifest string) *lab {
	t.Helper()
	users, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || os.Geteuid() != 0 || strings.Join(strings.Fields(string(users)), " ") != fullMap {
		t.Skip("needs root outside a user namespace, because containers have different users")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatal("needs ip: make setup installs it")
	}
	l := &lab{t: t, manifest: readManifest(t, manifest), volumes: t.TempDir()}
	prefix := fmt.Sprintf("psd%d-%d-", os.Getpid(), labs.Add(1))
	l.node, l.pod = prefix+"node", prefix+"pod"
	for _, name := range []string{l.node, l.pod} {
		must(t, "ip", "netns", "add", name)
		t.Cleanup(func() { must(t, "ip", "netns", "del", name) })
		l.ip(name, "link set lo up")
	}
	l.ip(l.node, "link add vpod type veth peer name eth0 netns "+l.pod)
	l.ip(l.node, "addr add 10.244.1.1/24 dev vpod", "link set vpod up")
	l.ip(l.pod, "addr add 10.244.1.7/24 brd 10.244.1.255 dev eth0", "link set eth0 up", "route add default via 10.244.1.1")
	for _, v := range l.manifest.Spec.Volumes {
		l.makeVolume(v.Name)
	}
	return l
}

// makeVolume creates a directory as a kubelet creates an emptyDir: with the mode 0777, and of the pod's fsGroup, if it has one.
func (l *lab) makeVolume(name string) {
	l.t.Helper()
	dir := filepath.Join(l.volumes, name)
	if err := os.Mkdir(dir, 0o777); err != nil {
		l.t.Fatal(err)
	}
	mode := uint32(0o777)
	if l.manifest.Spec.SecurityContext.FSGroup != 0 {
		mode |= unix.S_ISGID
	}
	if err := os.Chown(dir, 0, l.manifest.Spec.SecurityContext.FSGroup); err != nil {
		l.t.Fatal(err)
	}
	if err := unix.Chmod(dir, mode); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) ip(namespace string, commands ...string) {
	l.t.Helper()
	for _, c := range commands {
		must(l.t, "ip", append([]string{"-n", namespace}, strings.Fields(c)...)...)
	}
}

// podNetwork returns the addresses, routes and nftables of the pod.
func (l *lab) podNetwork() string {
	l.t.Helper()
	return must(l.t, "ip", "-n", l.pod, "-4", "-j", "addr", "show", "dev", "eth0") + must(l.t, "ip", "-n", l.pod, "-4", "-j", "route") +
		must(l.t, "ip", "netns", "exec", l.pod, "nft", "list", "ruleset")
}

// awaitPodNetwork waits until the pod's network is as before.
func (l *lab) awaitPodNetwork(before string) {
	l.t.Helper()
	await(l.t, "the pod's network as before", func() error {
		if after := l.podNetwork(); after != before {
			return fmt.Errorf("before\n%s\nafter\n%s", before, after)
		}
		return nil
	})
}

// capability returns the number of a capability (linux/capability.h).
func capability(t *testing.T, name string) int {
	t.Helper()
	number, ok := map[string]int{"CHOWN": unix.CAP_CHOWN, "NET_ADMIN": unix.CAP_NET_ADMIN, "NET_RAW": unix.CAP_NET_RAW}[name]
	if !ok {
		t.Fatalf("the test lacks the number of capability %s", name)
	}
	return number
}

// isolated returns a container of the manifest, without one of its capabilities, or with all if without is empty.
func (l *lab) isolated(c container, without string) isolated {
	l.t.Helper()
	i := isolated{Root: l.t.TempDir(), Program: program, Resolv: "nameserver 10.96.0.10\nsearch default.svc.cluster.local\n",
		UID: *c.SecurityContext.RunAsUser, GID: *c.SecurityContext.RunAsGroup, Group: l.manifest.Spec.SecurityContext.FSGroup}
	for _, name := range c.SecurityContext.Capabilities.Add {
		if name != without {
			i.Capabilities = append(i.Capabilities, capability(l.t, name))
		}
	}
	for _, m := range c.VolumeMounts {
		i.Volumes = append(i.Volumes, bound{filepath.Join(l.volumes, m.Name), m.MountPath})
	}
	return i
}

// launch starts a container: podswitch with its arguments, or a hypervisor for a container with another program.
func (l *lab) launch(name string) *process {
	l.t.Helper()
	c := l.manifest.container(l.t, name)
	i := l.isolated(c, "")
	i.Args = c.Args
	if len(c.Command) > 0 {
		i.Socket = paths(c)[0]
	}
	return l.enter(name, i)
}

// probe starts a container's startup probe. A runtime would start it in the same container; here it gets another one with the same
// privileges.
func (l *lab) probe(name string) *process {
	l.t.Helper()
	c := l.manifest.container(l.t, name)
	i := l.isolated(c, "")
	i.Args = append(c.StartupProbe.Exec.Command[1:], "-o", "json")
	return l.enter(name+"'s probe", i)
}

func (l *lab) enter(name string, i isolated) *process {
	l.t.Helper()
	text, err := json.Marshal(i)
	if err != nil {
		l.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", l.pod, self)
	cmd.Env = append(os.Environ(), containerVariable+"="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
	return start(l.t, name, cmd)
}
