package model

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Fault is one error in a document.
type Fault struct {
	Field   string // the path of the field, such as spec.devices.interfaces[0].model; empty for the document as a whole
	Message string // one printable line: the error and a remedy, in KubeVirt's words where KubeVirt reports the same error
}

// String returns the fault as one line: "Field: Message", or Message alone if Field is empty.
func (f Fault) String() string {
	if f.Field == "" {
		return f.Message
	}
	return f.Field + ": " + f.Message
}

// Faults is the error that [Parse] returns: all errors of a document, in the order in which Parse found them. It is never empty
// there. Use [errors.As] to get at the single faults.
type Faults []Fault

// Error returns the faults, one a line, without a final newline.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// add appends a fault.
func (f *Faults) add(field, format string, args ...any) {
	*f = append(*f, Fault{Field: field, Message: fmt.Sprintf(format, args...)})
}

// maxShown is the number of bytes of the document that a message quotes.
const maxShown = 80

// show prepares text of the document for a message. Short printable text stays as it is; other text is cut and quoted.
func show(text string) string {
	short := text
	if len(text) > maxShown {
		short = text[:maxShown] + "..."
	}
	if text != "" && utf8.ValidString(short) && strings.IndexFunc(short, unprintable) < 0 {
		return short
	}
	return strconv.Quote(short)
}

// unprintable reports whether r could break a line or disturb a terminal.
func unprintable(r rune) bool { return !strconv.IsPrint(r) }
