package sandbox

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// docsPath is the document that has the list of allowed calls, between two markers.
const (
	docsPath = "../../docs/security.md"
	begin    = "<!-- system calls: begin -->\n"
	end      = "<!-- system calls: end -->\n"
)

// TestDocs compares the list in the document with that of the code; with -update it writes the list.
func TestDocs(t *testing.T) {
	if len(machineCalls()) > 0 {
		t.Skip("the document describes the list of this processor in words")
	}
	text, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, opened := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		t.Fatalf("%s has no lines %q and %q", docsPath, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	want := before + begin + table(allowedCalls()) + end + after
	switch {
	case string(text) == want:
	case flag.Lookup("update").Value.String() == "true":
		if err := os.WriteFile(docsPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the system calls of %s are not those of the code: run go test ./host/sandbox -run TestDocs -update", docsPath)
	}
}

// table returns the list in Markdown.
func table(calls []allowedCall) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d system calls. A call whose condition does not hold kills the process, too.\n\n", len(calls))
	b.WriteString("| system call | purpose | condition |\n|---|---|---|\n")
	for _, c := range calls {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.name, c.purpose, c.condition)
	}
	return b.String()
}
