package main

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Texts of guests, hypervisors, captures and other processes are printed: host names, the reasons of a peer, names in a capture. What
// controls a terminal is escaped in all of them: control characters, and characters that change the direction of a text.

// A printableWriter escapes all unprintable characters except line breaks and tabs.
type printableWriter struct{ w io.Writer }

// Write implements io.Writer. It reports the length of b even though it may write more.
func (p printableWriter) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.w, escape(string(b), "\n\t")); err != nil {
		return 0, err
	}
	return len(b), nil
}

// escape replaces the unprintable characters of s by their escapes in Go and JSON, such as \u001b. The characters in keep stay. A byte
// outside UTF-8 becomes \ufffd.
func escape(s, keep string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !passes(r, keep) }) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // a byte that is not UTF-8 is utf8.RuneError
		switch {
		case passes(r, keep) && r != utf8.RuneError:
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func passes(r rune, keep string) bool { return strconv.IsPrint(r) || strings.ContainsRune(keep, r) }

// escapeTexts escapes all texts in the value that v points to, line breaks and tabs too: none of them can look like another row of a table.
func escapeTexts(v any) { escapeValue(reflect.ValueOf(v).Elem()) }

func escapeValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(escape(v.String(), ""))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			escapeValue(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			escapeValue(v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			escapeValue(v.Index(i))
		}
	case reflect.Map:
		escapeMap(v)
	}
}

// escapeMap escapes the keys of a map from texts, and leaves its values, which are numbers.
func escapeMap(v reflect.Value) {
	for _, key := range v.MapKeys() {
		if key.Kind() != reflect.String {
			return
		}
		if clean := escape(key.String(), ""); clean != key.String() {
			v.SetMapIndex(reflect.ValueOf(clean), v.MapIndex(key))
			v.SetMapIndex(key, reflect.Value{})
		}
	}
}
