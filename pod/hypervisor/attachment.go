// Package hypervisor says what the hypervisor has to be told so that its end of the guest's interface fits podswitch's: the
// arguments of QEMU, or an element of libvirt's domain XML.
//
// It is pure: no file, no socket and no device is touched, and the same input gives the same output. What a document leaves
// to chance elsewhere (the MAC) is derived, see [DeriveMAC].
package hypervisor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// The kinds of attachment, as --guest of podswitch names them.
const (
	KindTap    = "tap"    // podswitch is the user side of the tap; no hypervisor can be
	KindPacket = "packet" // the hypervisor is the user side of the tap Name; podswitch is at its kernel side
	KindStream = "stream" // podswitch listens at the unix stream socket Name
	KindDgram  = "dgram"  // unix datagram sockets; Name is podswitch's own path, a comma, and the path that it sends to;
	// without the comma it sends to who sent last (vfkit's unixgram)
	KindFD = "fd" // podswitch inherited the file descriptor Name
)

// An Attachment is where the guest is, as podswitch sees it.
type Attachment struct{ Kind, Name string }

// String returns the attachment as KIND:NAME, as ParseAttachment reads it.
func (a Attachment) String() string { return a.Kind + ":" + a.Name }

// ParseAttachment reads KIND:NAME and checks that the name is one of its kind: the name of a network device for tap and
// packet, a path for stream, two paths with a comma between them for dgram, a number for fd. That a hypervisor can
// use the attachment is not checked here.
func ParseAttachment(text string) (Attachment, error) {
	kind, name, found := strings.Cut(text, ":")
	a := Attachment{kind, name}
	check := map[string]func(string) error{KindTap: checkDevice, KindPacket: checkDevice, KindStream: checkPath,
		KindDgram: checkPaths, KindFD: checkNumber}[kind]
	if !found || check == nil {
		return Attachment{}, fmt.Errorf("guest %q: want tap:NAME, packet:NAME, stream:PATH, dgram:LOCAL,REMOTE or fd:N", text)
	}
	if err := check(name); err != nil {
		return Attachment{}, fmt.Errorf("guest %q: %w", text, err)
	}
	return a, nil
}

// unusable returns why no hypervisor can be told of the attachment; nil when one can.
func (a Attachment) unusable() error {
	switch a.Kind {
	case KindTap:
		return fmt.Errorf("guest %s: podswitch is the user side of this tap, and a tap has only one; "+
			"give packet:%s here and to podswitch run, and the hypervisor takes the tap", a, a.Name)
	case KindDgram:
		if _, remote := a.paths(); remote == "" {
			return fmt.Errorf("guest %s: QEMU needs a path of its own too; give dgram:LOCAL,REMOTE", a)
		}
	case KindFD:
		return fmt.Errorf("guest %s: only who opened the descriptor knows its other end; "+
			"give packet:NAME, stream:PATH or dgram:LOCAL,REMOTE", a)
	}
	return nil
}

// paths returns podswitch's own path and the one that it sends to.
func (a Attachment) paths() (local, remote string) {
	local, remote, _ = strings.Cut(a.Name, ",")
	return local, remote
}

// maxDevice is the length of a network device's name in bytes (IFNAMSIZ of linux/if.h, without the final zero).
const maxDevice = 15

// checkDevice wants the name of one network device. The kernel takes a percent sign for a pattern, and would give
// the tap another name than podswitch looks for.
func checkDevice(name string) error {
	if name == "" || len(name) > maxDevice || name == "." || name == ".." || strings.ContainsAny(name, "/:%") ||
		strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return fmt.Errorf("want a device name of 1 to %d bytes without '/', ':', '%%' and white space", maxDevice)
	}
	return nil
}

// maxPath is the length of a socket's path in bytes (sun_path of unix(7), with room for the final zero).
const maxPath = 107

// checkPath wants a path that both sides read the same way, and that leaves one argument on one line.
func checkPath(path string) error {
	switch {
	case path == "":
		return errors.New("the path of a unix socket is missing")
	case len(path) > maxPath:
		return fmt.Errorf("the path has %d bytes; a unix socket's has at most %d", len(path), maxPath)
	case path[0] == '@':
		return errors.New("an abstract socket is not supported; want a path in the file system")
	case strings.ContainsFunc(path, unicode.IsControl):
		return errors.New("the path has a control character")
	}
	return nil
}

// checkPaths wants one path, or two different ones.
func checkPaths(name string) error {
	paths := strings.Split(name, ",")
	switch {
	case len(paths) == 1:
		return checkPath(name)
	case len(paths) > 2:
		return errors.New("want dgram:LOCAL,REMOTE: podswitch's own path and the hypervisor's, with one comma between them")
	}
	if paths[0] == paths[1] {
		return errors.New("LOCAL and REMOTE are the same; each side needs a path of its own")
	}
	return errors.Join(checkPath(paths[0]), checkPath(paths[1]))
}

// checkNumber wants the number of a file descriptor.
func checkNumber(name string) error {
	if _, err := strconv.ParseUint(name, 10, 31); err != nil { // a descriptor is an int of C
		return errors.New("want the number of a file descriptor, as in fd:3")
	}
	return nil
}
