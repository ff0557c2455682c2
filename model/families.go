package model

import (
	"fmt"
	"strings"
)

// Families is a set of IP versions: those whose pod address moves to the guest under [DelegateIP], if the pod has it. The zero value is the
// empty set.
type Families uint8

// The members of Families.
const (
	IPv4 Families = 1 << iota
	IPv6

	AllFamilies = IPv4 | IPv6
)

// familyNames has the names in the order of the text form.
var familyNames = [...]struct {
	family Families
	name   string
}{{IPv4, "ipv4"}, {IPv6, "ipv6"}}

// ParseFamilies reads a list such as "ipv4,ipv6", in any order. An empty list, an unknown name and a duplicate are errors.
func ParseFamilies(text string) (Families, error) {
	var set Families
	for name := range strings.SplitSeq(text, ",") {
		family := familyNamed(strings.TrimSpace(name))
		switch {
		case family == 0:
			return 0, fmt.Errorf("family %q: want ipv4, ipv6 or ipv4,ipv6", name)
		case set.Has(family):
			return 0, fmt.Errorf("family %q twice: want ipv4, ipv6 or ipv4,ipv6", name)
		}
		set |= family
	}
	return set, nil
}

// familyNamed returns the family with the name, or 0.
func familyNamed(name string) Families {
	for _, f := range familyNames {
		if f.name == name {
			return f.family
		}
	}
	return 0
}

// Has reports whether all members of g are in f.
func (f Families) Has(g Families) bool { return f&g == g }

// String returns the form that [ParseFamilies] reads, or "none".
func (f Families) String() string {
	var names []string
	for _, known := range familyNames {
		if f.Has(known.family) {
			names = append(names, known.name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ",")
}
