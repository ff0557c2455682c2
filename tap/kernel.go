package tap

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mergeable tells what can be merged so that the kernel cuts it as it was: MergeDatagrams, or MergeSegments where it cannot cut UDP
// datagrams. Linux takes frames of several, vnet.GSOUDPL4, from a tap and from a packet socket since 6.2 (virtio_net_hdr_to_skb of
// linux/virtio_net.h), and refuses them with EINVAL before; before 6.5 it may cut them as IP fragments (__udp_gso_segment of
// net/ipv4/udp_offload.c). It makes a system call, so a process that is to be locked in asks before.
func Mergeable() Merging {
	var name unix.Utsname
	if unix.Uname(&name) == nil && isSince(unix.ByteSliceToString(name.Release[:]), 6, 5) {
		return MergeDatagrams
	}
	return MergeSegments
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
