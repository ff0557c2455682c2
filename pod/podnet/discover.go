package podnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// resolvConf is where the pod's resolver is configured.
const resolvConf = "/etc/resolv.conf"

// Discover reads the identity of the pod whose interface is named link, in the network namespace of the calling thread.
// It changes nothing. It returns a *missing.Error that names the interfaces there are when link does not exist, one that
// wraps ErrTaken when another podswitch has taken the interface's address, and an error when the interface has something
// that could not be put back.
func Discover(link string) (*Identity, error) {
	if err := checkLinkName(link); err != nil {
		return nil, err
	}
	conn, err := openRtnetlink()
	if err != nil {
		return nil, err
	}
	defer conn.close()
	id, err := discover(conn, link)
	if err != nil {
		return nil, err
	}
	return id, checkNotTaken(id.Link)
}

func discover(conn *rtnetlink, name string) (*Identity, error) {
	ns, err := namespace()
	if err != nil {
		return nil, err
	}
	link, _, ok, err := conn.link(0, name)
	switch {
	case err != nil:
		return nil, explain("look at the pod interface "+name, err)
	case !ok:
		return nil, noSuchLink(conn, name)
	}
	id := &Identity{Namespace: ns, Link: link}
	if id.Addresses, err = conn.addresses(link.Index); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if id.Routes, err = conn.routes(link.Index, id.Addresses); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if id.Neighbours, err = conn.neighbours(link.Index); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if id.HostName, err = os.Hostname(); err != nil {
		return nil, fmt.Errorf("read the pod's host name: %w", err)
	}
	id.Resolv, err = resolvOfPod()
	return id, err
}

// resolvOfPod reads the pod's resolv.conf; a pod without one has no DNS.
func resolvOfPod() (Resolv, error) {
	f, err := os.Open(resolvConf)
	if errors.Is(err, fs.ErrNotExist) {
		return Resolv{}, nil
	}
	if err != nil {
		return Resolv{}, fmt.Errorf("read the pod's DNS configuration: %w", err)
	}
	defer f.Close()
	return ReadResolv(f), nil
}

func noSuchLink(conn *rtnetlink, name string) error {
	give := "name another one"
	if names, err := conn.linkNames(); err == nil {
		give = "name one of " + strings.Join(names, ", ")
	}
	return &missing.Error{
		What: "look at the interface " + name,
		Need: "an interface of that name in this network namespace",
		Give: give,
	}
}

// checkLinkName refuses what the kernel does not accept as a name (dev_valid_name in net/core/dev.c), so that a name is
// also safe as a path element.
func checkLinkName(name string) error {
	bad := strings.ContainsFunc(name, func(r rune) bool {
		return r == '/' || r == ':' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
	if name == "" || name == "." || name == ".." || len(name) >= unix.IFNAMSIZ || bad {
		return fmt.Errorf("interface name %q: want 1 to %d printable characters without blanks, '/' and ':'",
			name, unix.IFNAMSIZ-1)
	}
	return nil
}
