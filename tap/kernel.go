package tap

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mergeable returns what a port may merge so that this kernel cuts it into the original frames again: MergeDatagrams since Linux 6.5,
// otherwise MergeSegments. Linux accepts several UDP datagrams in one frame (vnet.GSOUDPL4) from a tap and from a packet socket since 6.2
// (virtio_net_hdr_to_skb of linux/virtio_net.h), and refuses them with EINVAL before; before 6.5 it may cut them as IP fragments
// (__udp_gso_segment of net/ipv4/udp_offload.c). Mergeable calls uname(2), which the sandbox does not allow: call it before.
func Mergeable() Merging {
	var name unix.Utsname
	if unix.Uname(&name) == nil && isSince(unix.ByteSliceToString(name.Release[:]), 6, 5) {
		return MergeDatagrams
	}
	return MergeSegments
}

// isSince reports whether a kernel release (uname(2)) is at least major.minor. A release begins with MAJOR.MINOR, and a character that is
// not a digit may follow; isSince reports false for any other text.
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
