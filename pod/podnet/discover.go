package podnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// resolvConf configures the pod's resolver (resolv.conf(5)).
const resolvConf = "/etc/resolv.conf"

// Discover reads the identity of the pod whose interface is named link, in the network namespace of the calling thread, for the given
// families: at least one. It changes nothing. Of the IPv6 addresses, Addresses has the first permanent global one; temporary addresses and
// those of SLAAC could not be restored.
//
// The error is a *missing.Error that lists the existing interfaces if link does not exist, and one that wraps ErrTaken if another
// podswitch has taken or muted the interface; the identity is valid then, too. An interface with an attribute that GiveBack could not restore is an error, too.
func Discover(link string, families ...Family) (*Identity, error) {
	conn, err := openRtnetlink()
	if err != nil {
		return nil, err
	}
	defer conn.close()
	id, err := readIdentity(conn, link, families)
	if err != nil {
		return nil, err
	}
	return id, checkNotTaken(id.Link)
}

func readIdentity(conn *rtnetlink, name string, families []Family) (*Identity, error) {
	link, err := conn.existingLink(name)
	if err != nil {
		return nil, err
	}
	id := &Identity{Link: link, families: families, readAt: uptime()}
	if id.Namespace, err = currentNamespace(); err != nil {
		return nil, err
	}
	for _, f := range families {
		if err := id.readFamily(conn, f); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if id.HostName, err = os.Hostname(); err != nil {
		return nil, fmt.Errorf("read the pod's host name: %w", err)
	}
	id.Resolv, err = readResolvFile()
	return id, err
}

// readFamily adds the addresses, routes and neighbours of a family.
func (id *Identity) readFamily(conn *rtnetlink, f Family) error {
	addresses, err := conn.addresses(f, id.Link.Index)
	if err != nil {
		return err
	}
	if f == IPv6 {
		addresses, id.Kept = divideIPv6(addresses)
	}
	routes, isMore, err := conn.boundedRoutes(f, id.Link.Index, addresses)
	if err != nil {
		return err
	}
	id.MoreAdvertised = id.MoreAdvertised || isMore
	neighbours, err := conn.neighbours(f, id.Link.Index, id.Link.MAC)
	if err != nil {
		return err
	}
	if f == IPv6 { // the kernel keeps the others
		neighbours = settled(neighbours)
	}
	id.Addresses, id.Routes = append(id.Addresses, addresses...), append(id.Routes, routes...)
	id.Neighbours = append(id.Neighbours, neighbours...)
	return nil
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
