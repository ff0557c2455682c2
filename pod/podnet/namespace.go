package podnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A Namespace tells one network namespace from all others. The zero value of Cookie and Boot means "not known".
type Namespace struct {
	Device uint64 `json:"device"`           // of the namespace's file in nsfs
	Inode  uint64 `json:"inode"`            // of the same; used again after the namespace has gone
	Cookie uint64 `json:"cookie,omitempty"` // SO_NETNS_COOKIE (Linux 5.14), never used again until the next boot
	Boot   string `json:"boot,omitempty"`   // names the boot: kernel.random.boot_id
}

// same tells whether two descriptions are of one namespace, as far as both know.
func (n Namespace) same(other Namespace) bool {
	return n.Device == other.Device && n.Inode == other.Inode &&
		(n.Cookie == 0 || other.Cookie == 0 || n.Cookie == other.Cookie) &&
		(n.Boot == "" || other.Boot == "" || n.Boot == other.Boot)
}

// earlierBoot tells whether other was seen before the machine was started last: it is gone, with all its interfaces.
func (n Namespace) earlierBoot(other Namespace) bool {
	return n.Boot != "" && other.Boot != "" && n.Boot != other.Boot
}

// namespace describes the network namespace of the calling thread.
func namespace() (Namespace, error) {
	var st unix.Stat_t
	err := unix.Stat("/proc/thread-self/ns/net", &st)
	if errors.Is(err, fs.ErrNotExist) {
		err = unix.Stat("/proc/self/ns/net", &st)
	}
	if err != nil {
		return Namespace{}, fmt.Errorf("look at the network namespace in /proc/thread-self/ns/net: %w", err)
	}
	n := Namespace{Device: uint64(st.Dev), Inode: st.Ino}
	if boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		n.Boot = strings.TrimSpace(string(boot))
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return Namespace{}, fmt.Errorf("open a socket to ask for the network namespace's cookie: %w", err)
	}
	defer unix.Close(fd)
	if cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err == nil {
		n.Cookie = cookie
	}
	return n, nil
}
