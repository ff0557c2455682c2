package model

// Unknown fields, by the rule in the package's documentation. Three questions are asked of a field that is not known in
// its object, in this order:
//
//  1. Is it nearly a field that is known here? Then that one was meant.
//  2. Is it, or nearly, a container that podswitch reads elsewhere, or delegateIp? Then it stands in the wrong place.
//  3. Is the object closed? Then it is unknown.

import "strings"

// closed notes a fault for every field that is not known in one of podswitch's own objects.
func (v value) closed(known ...string) { v.unknown(true, known) }

// open notes a fault for every field of one of KubeVirt's objects that looks like something podswitch reads.
func (v value) open(known ...string) { v.unknown(false, known) }

func (v value) unknown(closed bool, known []string) {
	for _, key := range v.keys() {
		if _, ok := nearest(key, known, 0); ok {
			continue
		}
		field := v.field(key)
		if name, ok := nearest(key, known, maxEdits); ok {
			field.fault("unknown field; did you mean %q?", name)
		} else if home := homeOf(key); home != "" {
			field.fault("does not belong here; %s", home)
		} else if name, ok := beginning(key, known); ok && closed {
			field.fault("unknown field; did you mean %q?", name)
		} else if closed {
			field.fault("unknown field; known here: %s", strings.Join(known, ", "))
		}
	}
}

// homeOf says where a container or delegateIp belongs whose name is key, or nearly; empty for any other key.
func homeOf(key string) string {
	names := []string{"interfaces", "networks", "devices", "domain", "template", "spec", "delegateIp"}
	homes := map[string]string{
		"interfaces": "interfaces go to spec.devices.interfaces, spec.domain.devices.interfaces or " +
			"spec.template.spec.domain.devices.interfaces",
		"networks":   "networks go to spec.networks or spec.template.spec.networks",
		"devices":    "devices go to spec.devices, spec.domain.devices or spec.template.spec.domain.devices",
		"domain":     "the domain goes to spec.domain or spec.template.spec.domain",
		"template":   "the template goes to spec.template",
		"spec":       "the spec goes to the top of the document, or to spec.template.spec",
		"delegateIp": "delegateIp goes into an interface's bridge",
	}
	name, _ := nearest(key, names, maxEdits)
	return homes[name]
}

// maxEdits is how many edits make a typing error rather than another word.
const maxEdits = 2

// nearest returns the name that is closest to key, upper and lower case aside, within limit edits and an edit for each
// three letters. With limit 0 it finds only key itself, letter for letter.
func nearest(key string, names []string, limit int) (nearest string, ok bool) {
	best := limit + 1
	for _, name := range names {
		if name == key {
			return name, true
		}
		if limit == 0 || len(key) > len(name)+limit {
			continue
		}
		edits := distance(strings.ToLower(key), strings.ToLower(name))
		if edits < best && edits <= len(name)/3 {
			best, nearest = edits, name
		}
	}
	return nearest, nearest != ""
}

// beginning returns the only name that begins with key, upper and lower case aside: dhcpOptions for dhcp.
func beginning(key string, names []string) (found string, ok bool) {
	for _, name := range names {
		if len(key) >= 3 && strings.HasPrefix(strings.ToLower(name), strings.ToLower(key)) {
			if found != "" {
				return "", false
			}
			found = name
		}
	}
	return found, found != ""
}

// distance returns how many bytes have to be inserted, removed, replaced or swapped with their neighbour to turn a into
// b, no byte being touched twice (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
