package podnet

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// check validates what would be told to the kernel.
func (r *record) check() error {
	id := r.Pod
	switch {
	case id == nil:
		return errors.New("pod: is absent")
	case id.Link.Index <= 0:
		return fmt.Errorf("pod.link.index: is %d, want a positive number", id.Link.Index)
	case len(id.Addresses) == 0:
		return errors.New("pod.addresses: is empty, want at least one")
	}
	errs := []error{field("pod.link.name", -1, checkLinkName(id.Link.Name))}
	for i, a := range id.Addresses {
		errs = append(errs, field("pod.addresses", i, a.check()))
	}
	for i, route := range id.Routes {
		errs = append(errs, field("pod.routes", i, route.check()))
	}
	for i, n := range id.Neighbours {
		errs = append(errs, field("pod.neighbours", i, v4("address", n.Address)))
	}
	for i, s := range r.Sysctls {
		errs = append(errs, field("sysctls", i, s.check()))
	}
	return errors.Join(errs...)
}

// field puts the path before an error; an index below zero is none.
func field(path string, index int, err error) error {
	switch {
	case err == nil:
		return nil
	case index < 0:
		return fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("%s[%d]: %w", path, index, err)
}

func (a Address) check() error {
	if !a.Prefix.IsValid() {
		return errors.New("prefix: is absent")
	}
	if len(a.Label) >= unix.IFNAMSIZ {
		return fmt.Errorf("label %q: want at most %d bytes", a.Label, unix.IFNAMSIZ-1)
	}
	return errors.Join(v4("prefix", a.Prefix.Addr()), v4orNone("peer", a.Peer), v4orNone("broadcast", a.Broadcast))
}

func (r Route) check() error {
	if !r.Dst.IsValid() {
		return errors.New("dst: is absent")
	}
	if r.Link < 0 {
		return fmt.Errorf("link: is %d, want an interface index", r.Link)
	}
	errs := []error{v4("dst", r.Dst.Addr()), v4orNone("source", r.Source)}
	names := map[string]bool{}
	for _, name := range metricNames() {
		names[name] = true
	}
	for name := range r.Metrics {
		if !names[name] {
			errs = append(errs, fmt.Errorf("metrics: %q is not known", name))
		}
	}
	for i, h := range r.NextHops {
		if h.Link <= 0 || h.Weight < 1 || h.Weight > 256 {
			errs = append(errs, fmt.Errorf("nexthops[%d]: link %d, weight %d: want an interface index and 1 to 256", i, h.Link, h.Weight))
		}
	}
	return errors.Join(errs...)
}

func v4(name string, a netip.Addr) error {
	if !a.Is4() {
		return fmt.Errorf("%s: is %q, want an IPv4 address", name, a)
	}
	return nil
}

func v4orNone(name string, a netip.Addr) error {
	if !a.IsValid() {
		return nil
	}
	return v4(name, a)
}
