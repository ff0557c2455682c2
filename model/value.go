package model

// Theory of operation. A value is decoded data together with its path in the document. A getter that finds a fault records it and
// returns the zero value, so that one walk finds every fault. An absent field is a value too, with given false.

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A value is one node of a document. All values of a document share one list of faults.
type value struct {
	faults *Faults
	path   string
	data   any  // as the YAML decoder returns it; nil for null and for an absent field
	given  bool // the field is present, possibly as null
}

// fault records a fault at v.
func (v value) fault(format string, args ...any) { v.faults.add(v.path, format, args...) }

// field returns a field of an object. If v is not an object, the field is absent.
func (v value) field(name string) value {
	fields, _ := v.data.(map[any]any)
	data, given := fields[name]
	return value{faults: v.faults, path: childPath(v.path, name), data: data, given: given}
}

// object reports whether v is an object. Null counts as an empty object; any other type is a fault.
func (v value) object() bool {
	if _, ok := v.data.(map[any]any); ok || v.data == nil {
		return true
	}
	v.fault("must be an object, not %s", typeName(v.data))
	return false
}

// items returns the entries of a list. Null counts as an empty list; any other type is a fault, and ok is false.
func (v value) items() (items []value, ok bool) {
	if v.data == nil {
		return nil, true
	}
	list, ok := v.data.([]any)
	if !ok {
		v.fault("must be a list, not %s", typeName(v.data))
		return nil, false
	}
	for i, data := range list {
		path := v.path + "[" + strconv.Itoa(i) + "]"
		items = append(items, value{faults: v.faults, path: path, data: data, given: true})
	}
	return items, true
}

// text returns a string, and "" for null. As in Kubernetes, a number is not converted to a string.
func (v value) text() string {
	switch data := v.data.(type) {
	case string:
		return data
	case nil:
	case map[any]any, []any:
		v.fault("must be a string, not %s", typeName(v.data))
	default:
		v.fault("must be a string, not %s; put it in quotes", typeName(v.data))
	}
	return ""
}

// isText reports whether v is a string or null, so that text reports no fault.
func (v value) isText() bool {
	_, ok := v.data.(string)
	return ok || v.data == nil
}

// whole returns a whole number. For null, ok is false; for any other type, ok is false and whole reports a fault.
func (v value) whole() (number int64, ok bool) {
	switch data := v.data.(type) {
	case nil:
		return 0, false
	case int:
		return int64(data), true
	case int64:
		return data, true
	case uint64:
		v.fault("is too large: the largest whole number is %d", int64(math.MaxInt64))
	default:
		v.fault("must be a whole number, not %s", typeName(v.data))
	}
	return 0, false
}

// boolean returns true or false. Any other type, and null, is a fault, and ok is false.
func (v value) boolean() (truth, ok bool) {
	truth, ok = v.data.(bool)
	if !ok {
		v.fault("must be true or false, not %s", typeName(v.data))
	}
	return truth, ok
}

// keys returns the names of the fields of an object, sorted. It returns none if v is not an object.
func (v value) keys() []string {
	fields, _ := v.data.(map[any]any)
	keys := make([]string, 0, len(fields))
	for key := range fields {
		keys = append(keys, fmt.Sprint(key))
	}
	slices.Sort(keys)
	return keys
}

// typeName returns the type of decoded data, with an article, for messages.
func typeName(data any) string {
	switch data.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	case map[any]any:
		return "an object"
	case float64:
		return "a number with a fraction or exponent"
	default:
		return "a number"
	}
}

// childPath appends the name of a field to a path: .name, or ["na.me"] for a name that would make the path ambiguous.
func childPath(path, name string) string {
	plain := name != "" && len(name) <= maxShown && strings.IndexFunc(name, notPlain) < 0
	switch {
	case !plain && len(name) > maxShown:
		return path + "[" + strconv.Quote(name[:maxShown]+"...") + "]"
	case !plain:
		return path + "[" + strconv.Quote(name) + "]"
	case path == "":
		return name
	default:
		return path + "." + name
	}
}

// notPlain reports whether a field name that contains r needs quotes in a path.
func notPlain(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}
