package podnet

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// check validates every value that giving back passes to the kernel or uses in a path. The error names each invalid field.
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
	errs := []error{atField("pod.link.name", -1, checkLinkName(id.Link.Name))}
	for i, a := range id.Addresses {
		errs = append(errs, atField("pod.addresses", i, a.check()))
	}
	for i, route := range id.Routes {
		errs = append(errs, atField("pod.routes", i, route.check()))
	}
	for i, n := range id.Neighbours {
		if !n.Address.IsValid() {
			errs = append(errs, atField("pod.neighbours", i, errors.New("address: is absent")))
		}
	}
	for i, s := range r.Sysctls {
		errs = append(errs, atField("sysctls", i, s.check()))
	}
	return errors.Join(errs...)
}

// atField prefixes an error with the path of its field. A negative index means that the field is not a list.
func atField(path string, index int, err error) error {
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
	return errors.Join(checkFamily(a.family(), "peer", a.Peer), checkFamily(IPv4, "broadcast", a.Broadcast))
}

func (r Route) check() error {
	if !r.Dst.IsValid() {
		return errors.New("dst: is absent")
	}
	if r.Link < 0 {
		return fmt.Errorf("link: is %d, want an interface index", r.Link)
	}
	errs := []error{checkFamily(r.family(), "source", r.Source)}
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

// checkFamily returns an error if an address is present and of another family.
func checkFamily(f Family, name string, a netip.Addr) error {
	if a.IsValid() && FamilyOf(a) != f {
		return fmt.Errorf("%s: is %q, want an %v address", name, a, f)
	}
	return nil
}
