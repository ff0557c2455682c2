package model

// Unknown fields. The package documentation has the rule. A field that its object does not define is checked in this order:
//
//  1. Its name resembles that of a field defined here: a misspelling.
//  2. Its name equals or resembles that of a container that podswitch reads elsewhere, or delegateIp: the wrong place.
//  3. The object is closed: an unknown field.

import "strings"

// closed reports a fault for every field of a closed object that is not in known.
func (v value) closed(known ...string) { v.unknown(true, known) }

// open reports a fault for every field of an open object that is not in known but resembles a field that podswitch reads.
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

// homeOf returns the right place for a container, or for delegateIp, whose name is or resembles key. It returns "" for other keys.
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

// maxEdits is the number of edits up to which two names resemble each other.
const maxEdits = 2

// nearest returns the name that is closest to key, ignoring case. It considers names within limit edits, and within one edit for
// each three letters of the name. With limit 0 it finds only key itself, and case matters.
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

// beginning returns the only name that begins with key, ignoring case: dhcpOptions for dhcp. It returns false if there are several.
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

// distance returns the optimal string alignment distance of a and b: the number of bytes to insert, remove, replace or swap with
// their neighbour in order to turn a into b, without editing a byte twice.
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
