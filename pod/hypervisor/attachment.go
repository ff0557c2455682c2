// Package hypervisor produces the hypervisor's configuration for the guest's interface, to match that of podswitch:
//
//	guest, err := hypervisor.ParseAttachment("packet:tap0")
//	args, err := hypervisor.QEMUArgs(vm, guest, hypervisor.Settings{MTU: 1450})
//
// [QEMUArgs] returns the arguments of QEMU, [LibvirtXML] an element of libvirt's domain XML. [ParseAttachment] reads the flag --guest of
// podswitch.
//
// The package is pure: it does not open files, sockets or devices, and equal input gives equal output. A MAC that nothing sets is
// derived, see [DeriveMAC].
package hypervisor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// The kinds of attachment, as the flag --guest names them.
const (
	KindTap    = "tap"    // podswitch opens the tap Name, so that a hypervisor cannot
	KindPacket = "packet" // the hypervisor opens the tap Name; podswitch uses a packet socket on it
	KindStream = "stream" // podswitch listens at the unix stream socket with the path Name
	KindDgram  = "dgram"  // unix datagram sockets; Name is LOCAL,REMOTE: podswitch receives at LOCAL and sends to REMOTE. If
	// Name is LOCAL alone, podswitch sends to the sender of the last datagram (vfkit's unixgram).
	KindFD = "fd" // podswitch inherits the file descriptor with the number Name
)

// An Attachment is the way in which the guest is attached to podswitch. The zero value is not valid.
type Attachment struct{ Kind, Name string }

// String returns the attachment as KIND:NAME, the form that ParseAttachment reads.
func (a Attachment) String() string { return a.Kind + ":" + a.Name }

// ParseAttachment reads KIND:NAME. It checks the syntax of the name: a network device for tap and packet, a path for stream, one path or
// two different ones for dgram, a number for fd. It does not check that a hypervisor can use the attachment.
func ParseAttachment(text string) (Attachment, error) {
	kind, name, found := strings.Cut(text, ":")
	a := Attachment{kind, name}
	check := map[string]func(string) error{KindTap: checkDevice, KindPacket: checkDevice, KindStream: checkPath,
		KindDgram: checkPaths, KindFD: checkNumber}[kind]
	if !found || check == nil {
		return Attachment{}, fmt.Errorf("guest %q: want tap:NAME, packet:NAME, stream:PATH, dgram:LOCAL[,REMOTE] or fd:N", text)
	}
	if err := check(name); err != nil {
		return Attachment{}, fmt.Errorf("guest %q: %w", text, err)
	}
	return a, nil
}

// MaxMTU returns the size in bytes of the largest IP packet that the attachment carries. A frame of a tap has at most 65535 bytes (MAX_MTU in
// drivers/net/tun.c); a descriptor may be one of a tap. A socket carries every packet.
func (a Attachment) MaxMTU() int {
	const maxPacket, ethernetHeader = 65535, 14
	if a.Kind == KindStream || a.Kind == KindDgram {
		return maxPacket
	}
	return maxPacket - ethernetHeader
}

// checkUsable returns an error if a hypervisor cannot use the attachment.
func (a Attachment) checkUsable() error {
	switch a.Kind {
	case KindTap:
		return fmt.Errorf("--guest %s: podswitch opens this tap, and the hypervisor cannot open it too (use packet:%s, here and with podswitch run)", a, a.Name)
	case KindDgram:
		if _, remote := a.paths(); remote == "" {
			return fmt.Errorf("--guest %s: QEMU needs its own path (use dgram:LOCAL,REMOTE)", a)
		}
	case KindFD:
		return fmt.Errorf("--guest %s: only the process that opened the descriptor knows its other end (use packet:NAME, stream:PATH or dgram:LOCAL,REMOTE)", a)
	}
	return nil
}

// paths returns the two paths of KindDgram. remote is empty if there is only one.
func (a Attachment) paths() (local, remote string) {
	local, remote, _ = strings.Cut(a.Name, ",")
	return local, remote
}

// maxDevice is the maximum length of a device name in bytes (IFNAMSIZ of linux/if.h, without the final zero).
const maxDevice = 15

// checkDevice checks the name of a network device. It rejects the percent sign: the kernel treats a name that contains one as a pattern
// and would give the tap another name.
func checkDevice(name string) error {
	if name == "" || len(name) > maxDevice || name == "." || name == ".." || strings.ContainsAny(name, "/:%") ||
		strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return fmt.Errorf("want a device name of 1 to %d bytes without '/', ':', '%%' and white space", maxDevice)
	}
	return nil
}

// maxPath is the maximum length of a socket path in bytes (sun_path of unix(7), without the final zero).
const maxPath = 107

// checkPath checks the path of a unix socket. Control characters would break the output of one argument a line.
func checkPath(path string) error {
	switch {
	case path == "":
		return errors.New("the path of a unix socket is missing")
	case len(path) > maxPath:
		return fmt.Errorf("the path has %d bytes: want at most %d for a unix socket", len(path), maxPath)
	case path[0] == '@':
		return errors.New("abstract sockets are not supported: want a path in the file system")
	case strings.ContainsFunc(path, unicode.IsControl):
		return errors.New("the path contains a control character")
	}
	return nil
}

// checkPaths checks one path, or two different ones.
func checkPaths(name string) error {
	paths := strings.Split(name, ",")
	switch {
	case len(paths) == 1:
		return checkPath(name)
	case len(paths) > 2:
		return errors.New("want dgram:LOCAL,REMOTE, two paths with one comma between them")
	}
	if paths[0] == paths[1] {
		return errors.New("LOCAL and REMOTE are the same: each side needs its own path")
	}
	return errors.Join(checkPath(paths[0]), checkPath(paths[1]))
}

// checkNumber checks the number of a file descriptor, which is an int in C.
func checkNumber(name string) error {
	if _, err := strconv.ParseUint(name, 10, 31); err != nil {
		return errors.New("want the number of a file descriptor, such as fd:3")
	}
	return nil
}
