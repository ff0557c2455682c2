package podnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// resolvConf configures the pod's resolver (resolv.conf(5)).
const resolvConf = "/etc/resolv.conf"

// Discover reads the identity of the pod whose interface is named link, in the network namespace of the calling thread. It changes
// nothing.
//
// The error is a *missing.Error that lists the existing interfaces if link does not exist, and one that wraps ErrTaken if another
// podswitch has taken or muted the interface. An interface with an attribute that GiveBack could not restore is an error, too.
func Discover(link string) (*Identity, error) {
	conn, err := openRtnetlink()
	if err != nil {
		return nil, err
	}
	defer conn.close()
	id, err := readIdentity(conn, link)
	if err != nil {
		return nil, err
	}
	return id, checkNotTaken(id.Link)
}

func readIdentity(conn *rtnetlink, name string) (*Identity, error) {
	link, err := conn.existingLink(name)
	if err != nil {
		return nil, err
	}
	id := &Identity{Link: link, readAt: uptime()}
	if id.Namespace, err = currentNamespace(); err != nil {
		return nil, err
	}
	if id.Addresses, err = conn.addresses(link.Index); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if id.Routes, err = conn.routes(link.Index, id.Addresses); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if id.Neighbours, err = conn.neighbours(link.Index, link.MAC); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if id.HostName, err = os.Hostname(); err != nil {
		return nil, fmt.Errorf("read the pod's host name: %w", err)
	}
	id.Resolv, err = readResolvFile()
	return id, err
}

// readResolvFile returns the zero Resolv if the pod has no resolv.conf.
func readResolvFile() (Resolv, error) {
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
