package granttest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"
)

// Golden compares the wire form of a message with the golden file at path, whose first line has the version of the protocol that
// the form belongs to. It returns an error when they differ. With update it writes the file, but only for a version that is
// newer than the file's: a changed form needs a new version.
func Golden(path string, version int, update bool, message reflect.Type) error {
	form, err := Describe(message)
	if err != nil {
		return err
	}
	golden, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && update {
		return os.WriteFile(path, header(version, form), 0o644)
	}
	if err != nil {
		return err
	}
	if update {
		if golden, err = revise(golden, version, form); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return os.WriteFile(path, golden, 0o644)
	}
	if err := compare(golden, version, form); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// header returns the content of a golden file.
func header(version int, form string) []byte {
	return fmt.Appendf(nil, "version %d\n%s", version, form)
}

// compare returns an error unless the golden file has this version and this form.
func compare(golden []byte, version int, form string) error {
	recorded, old, err := split(golden)
	switch {
	case err != nil:
		return err
	case recorded != version:
		return fmt.Errorf("the file has version %d, and the protocol version %d: run the test with -update", recorded, version)
	case old != form:
		return fmt.Errorf("the form has changed and the version is still %d: move grant.Version, and run the tests of pod/grant and pod/dataplane with -update\n%s",
			version, difference(old, form))
	}
	return nil
}

// revise returns the golden file for a version and a form. It refuses a changed form without a newer version.
func revise(golden []byte, version int, form string) ([]byte, error) {
	recorded, old, err := split(golden)
	switch {
	case err != nil:
		return nil, err
	case version < recorded:
		return nil, fmt.Errorf("the file has version %d, and the protocol the older version %d", recorded, version)
	case version == recorded && old != form:
		return nil, fmt.Errorf("the form has changed and the version is still %d: move grant.Version first\n%s", version, difference(old, form))
	}
	return header(version, form), nil
}

// split returns the version and the form of a golden file.
func split(golden []byte) (version int, form string, err error) {
	first, rest, found := bytes.Cut(golden, []byte("\n"))
	if _, err := fmt.Sscanf(string(first), "version %d", &version); err != nil || !found {
		return 0, "", fmt.Errorf("the first line is %q: want the version, as in \"version 1\"", first)
	}
	return version, string(rest), nil
}

// difference lists the lines that only one of two forms has.
func difference(old, form string) string {
	var text strings.Builder
	for _, line := range missing(old, form) {
		text.WriteString("-" + line + "\n")
	}
	for _, line := range missing(form, old) {
		text.WriteString("+" + line + "\n")
	}
	return text.String()
}

// missing returns the lines of a that b does not have.
func missing(a, b string) (lines []string) {
	has := map[string]bool{}
	for line := range strings.Lines(b) {
		has[line] = true
	}
	for line := range strings.Lines(a) {
		if !has[line] {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}
