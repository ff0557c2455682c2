package podnet

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// initialInode is the inode number of the initial network namespace from Linux 6.18 on (NET_NS_INIT_INO, linux/nsfs.h). No other network
// namespace has it on any kernel: their numbers begin at 0xf0000000 (PROC_DYNAMIC_FIRST, fs/proc/generic.c).
const initialInode = 0xeffffff9

// The first kernel whose initial network namespace has initialInode.
const (
	inodeMajor = 6
	inodeMinor = 18
)

// initialSysctls are files below /proc/sys/net that exist in the initial network namespace only, from Linux 3.5 on: they are about the whole
// machine (net/core/sysctl_net_core.c, net/ipv4/sysctl_net_ipv4.c). A process sees those of its own network namespace in every mount of
// proc, whatever its process namespace and privileges are.
var initialSysctls = []string{"core/netdev_max_backlog", "ipv4/tcp_max_orphans"}

// IsInitialNamespace reports whether the network namespace of the calling thread is the machine's own, in which the machine started, as it
// is for a pod with hostNetwork. Comparing it with that of process 1 would not show this: a container has a process 1 of its own. Without
// /proc the answer is false.
func IsInitialNamespace() bool {
	var name unix.Utsname
	_ = unix.Uname(&name) // without an answer, the other signs decide
	n, err := currentNamespace()
	return err == nil && n.isInitial(unix.ByteSliceToString(name.Release[:]), "/proc/sys/net")
}

// isInitial judges by the inode number alone where that is certain, and by the sysctls elsewhere.
func (n Namespace) isInitial(release, sysctls string) bool {
	if n.Inode == initialInode || hasInitialInode(release) {
		return n.Inode == initialInode
	}
	for _, name := range initialSysctls {
		if _, err := os.Stat(filepath.Join(sysctls, name)); err != nil {
			return false
		}
	}
	return true
}

// hasInitialInode reports whether a kernel with this release, such as "6.18.4-generic", has initialInode.
func hasInitialInode(release string) bool {
	first, rest, _ := strings.Cut(release, ".")
	second, _, _ := strings.Cut(rest, ".")
	digits := len(second) - len(strings.TrimLeft(second, "0123456789"))
	major, err := strconv.Atoi(first)
	if err != nil {
		return false
	}
	minor, err := strconv.Atoi(second[:digits])
	return err == nil && (major > inodeMajor || major == inodeMajor && minor >= inodeMinor)
}
