package podnet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A Namespace identifies a network namespace. The zero value of Cookie and of Boot means "not known".
type Namespace struct {
	Device uint64 `json:"device"`           // st_dev of the namespace's file in nsfs (namespaces(7))
	Inode  uint64 `json:"inode"`            // st_ino of that file; reused after the namespace is gone
	Cookie uint64 `json:"cookie,omitempty"` // SO_NETNS_COOKIE (Linux 5.14); unique until the next boot
	Boot   string `json:"boot,omitempty"`   // kernel.random.boot_id (random(4))
}

// matches reports whether the descriptions agree in everything that both know.
func (n Namespace) matches(other Namespace) bool {
	return n.Device == other.Device && n.Inode == other.Inode &&
		(n.Cookie == 0 || other.Cookie == 0 || n.Cookie == other.Cookie) &&
		(n.Boot == "" || other.Boot == "" || n.Boot == other.Boot)
}

// isCertainly reports whether the descriptions are certainly of the same namespace: its cookie is unique until the next boot.
func (n Namespace) isCertainly(other Namespace) bool {
	return n.matches(other) && n.Cookie != 0 && other.Cookie != 0 && n.Boot != "" && other.Boot != ""
}

// rebootedSince reports whether the machine was restarted between the description other and n. The namespace other is then gone, with
// all its interfaces.
func (n Namespace) rebootedSince(other Namespace) bool {
	return n.Boot != "" && other.Boot != "" && n.Boot != other.Boot
}

// differsFrom reports whether the descriptions are certainly of two namespaces of one boot. Only cookies can show that, because inode
// numbers are reused.
func (n Namespace) differsFrom(other Namespace) bool {
	return n.Cookie != 0 && other.Cookie != 0 && n.Cookie != other.Cookie && !n.rebootedSince(other)
}

// currentNamespace describes the network namespace of the calling thread.
func currentNamespace() (Namespace, error) {
	var st unix.Stat_t
	err := unix.Stat("/proc/thread-self/ns/net", &st)
	if errors.Is(err, fs.ErrNotExist) { // Linux before 3.17 (proc(5))
		err = unix.Stat("/proc/self/ns/net", &st)
	}
	if err != nil {
		return Namespace{}, fmt.Errorf("stat the network namespace /proc/thread-self/ns/net: %w", err)
	}
	n := Namespace{Device: uint64(st.Dev), Inode: st.Ino}
	n.Boot = bootID(bootIDFile)
	n.Cookie, err = namespaceCookie()
	return n, err
}

// bootIDFile has the boot ID, which the kernel generates at each boot (random(4)).
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// bootID returns the content of a file, or "" if that is not the boot ID of the kernel: container managers mask the file, or mount one with
// an ID of the container over it. Another ID would look like another boot.
func bootID(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil || fs.Type != unix.PROC_SUPER_MAGIC {
		return ""
	}
	var st unix.Statx_t // attributes since Linux 5.8
	err = unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, 0, &st)
	if err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(f, 64))
	id := strings.TrimSpace(string(text))
	if err != nil || len(id) != 36 || strings.Trim(id, "0123456789abcdef-") != "" {
		return ""
	}
	return id
}

// namespaceCookie returns zero on a kernel without SO_NETNS_COOKIE.
func namespaceCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket for the network namespace's cookie: %w", err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, nil
	}
	return cookie, nil
}
