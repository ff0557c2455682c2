package model

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Fault is one thing that is wrong with a document.
type Fault struct {
	Field   string // the path of the field, for example spec.devices.interfaces[0].model; empty for the whole document
	Message string // what is wrong and what would be right, in KubeVirt's words where it has some; one line
}

// String returns the fault as one line: "Field: Message".
func (f Fault) String() string {
	if f.Field == "" {
		return f.Message
	}
	return f.Field + ": " + f.Message
}

// Faults are all that is wrong with a document, in the order in which they were found. [Parse] returns no other error.
type Faults []Fault

// Error returns one line a fault.
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

// maxShown is the number of bytes of a document's text that a message repeats.
const maxShown = 80

// show makes text from the document fit to stand in a message: as it is if it is short and printable, else quoted.
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

// unprintable tells whether r could break the line or the terminal that a message is printed on.
func unprintable(r rune) bool { return !strconv.IsPrint(r) }
