package podnet

import (
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// A Family is an address family.
type Family uint8

// The families of a pod.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// String returns "IPv4" or "IPv6".
func (f Family) String() string {
	if f == IPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// number returns the family's number in the kernel's messages.
func (f Family) number() uint8 {
	if f == IPv4 {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// everywhere returns the destination of a default route.
func (f Family) everywhere() netip.Prefix {
	if f == IPv4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

func (a Address) family() Family   { return FamilyOf(a.Prefix.Addr()) }
func (r Route) family() Family     { return FamilyOf(r.Dst.Addr()) }
func (n Neighbour) family() Family { return FamilyOf(n.Address) }

// only returns the elements of one family, in their order.
func only[T interface{ family() Family }](f Family, list []T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(e T) bool { return e.family() != f })
}

// HasIPv6 reports whether an interface of the calling thread's network namespace has a global IPv6 address.
func HasIPv6() bool {
	addresses, _ := net.InterfaceAddrs() // without IPv6 in the kernel there is none
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		prefix, ok := a.(*net.IPNet)
		return ok && prefix.IP.To4() == nil && prefix.IP.IsGlobalUnicast()
	})
}
