// Package granttest makes tests fail that would let the protocol of package grant change and keep its version.
package granttest

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Describe returns the JSON form of a struct type, with one line for each field: its path, a question mark where the field may
// be absent, and its JSON type; a number with its range, as a Go type. The lines are sorted. Names and order of Go's fields and
// types do not show.
//
// Every exported field needs a json tag. A type with its own MarshalJSON has no form that can be described, except
// json.RawMessage, which is any value; a type with a MarshalText is a string.
func Describe(message reflect.Type) (string, error) {
	var d description
	d.object("", message)
	if d.err != nil {
		return "", d.err
	}
	slices.Sort(d.lines)
	return strings.Join(d.lines, ""), nil
}

// A description collects lines.
type description struct {
	lines  []string
	within []reflect.Type // the structs around the field
	err    error
}

func (d *description) fail(path string, t reflect.Type, why string) {
	if d.err == nil {
		d.err = fmt.Errorf("%s (%s): %s", path, t, why)
	}
}

// object describes the fields of a struct.
func (d *description) object(path string, t reflect.Type) {
	if slices.Contains(d.within, t) {
		d.fail(path, t, "the type contains itself")
		return
	}
	d.within = append(d.within, t)
	defer func() { d.within = d.within[:len(d.within)-1] }()
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if !f.IsExported() && !f.Anonymous || tag == "-" {
			continue
		}
		if f.Anonymous && tag == "" { // its fields are the object's
			d.object(path, f.Type)
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			d.fail(path, t, "the field "+f.Name+" has no name in its json tag")
			return
		}
		if strings.Contains(options, "omit") {
			name += "?"
		}
		d.value(path+"."+name, f.Type)
	}
}

var (
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
)

// value describes a value at a path.
func (d *description) value(path string, t reflect.Type) {
	switch pointer := reflect.PointerTo(t); {
	case t == reflect.TypeFor[json.RawMessage]():
		d.line(path, "any value")
	case pointer.Implements(textMarshaler):
		d.line(path, "string"+standardName(t))
	case pointer.Implements(jsonMarshaler):
		d.fail(path, t, "the form of a type with its own MarshalJSON is unknown")
	default:
		d.kind(path, t)
	}
}

func (d *description) kind(path string, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		d.value(path, t.Elem())
	case reflect.Struct:
		d.line(path, "object")
		d.object(path, t)
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			d.line(path, "string of base64")
			return
		}
		d.line(path, "array")
		d.value(path+"[]", t.Elem())
	case reflect.Map:
		d.line(path, "object")
		d.value(path+"{}", t.Elem())
	case reflect.String:
		d.line(path, "string")
	case reflect.Bool:
		d.line(path, "boolean")
	case reflect.Interface, reflect.Func, reflect.Chan:
		d.fail(path, t, "the type has no form")
	default:
		d.line(path, "number "+t.Kind().String())
	}
}

func (d *description) line(path, text string) {
	d.lines = append(d.lines, strings.TrimPrefix(path, ".")+": "+text+"\n")
}

// standardName returns the name of a type of the standard library, whose text does not change.
func standardName(t reflect.Type) string {
	if strings.Contains(t.PkgPath(), ".") {
		return ""
	}
	return " as of " + t.String()
}
