package tap

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// TakesDatagrams tells whether the kernel takes frames of several UDP datagrams, vnet.GSOUDPL4, from a tap and from a packet socket, and
// cuts them. Linux does so from 6.2 on (virtio_net_hdr_to_skb of linux/virtio_net.h), and refuses them with EINVAL before. It makes
// a system call, so a process that is to be locked in asks before.
func TakesDatagrams() bool {
	var name unix.Utsname
	return unix.Uname(&name) == nil && isSince(unix.ByteSliceToString(name.Release[:]), 6, 2)
}

// isSince tells whether a kernel's release, as uname(2) says it, is at least that version: MAJOR.MINOR, and then nothing, or something
// that is no digit. What is written otherwise is no release that is known.
func isSince(release string, major, minor uint64) bool {
	first, rest, dotted := strings.Cut(release, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	isMajor, errMajor := strconv.ParseUint(first, 10, 16)
	isMinor, errMinor := strconv.ParseUint(rest[:end], 10, 16)
	if !dotted || errMajor != nil || errMinor != nil {
		return false
	}
	return isMajor > major || isMajor == major && isMinor >= minor
}
