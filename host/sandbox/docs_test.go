package sandbox

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// docsPath is where the list of allowed calls is for people, between the markers.
const (
	docsPath = "../../docs/security.md"
	begin    = "<!-- system calls: begin -->\n"
	end      = "<!-- system calls: end -->\n"
)

// TestDocs compares the list in the documents with the code's; with -update it writes it.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, opened := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		t.Fatalf("%s has no lines %q and %q", docsPath, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	want := before + begin + table(SystemCalls()) + end + after
	switch {
	case string(text) == want:
	case flag.Lookup("update").Value.String() == "true":
		if err := os.WriteFile(docsPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the system calls of %s are not those of the code: go test ./sandbox -run TestDocs -update", docsPath)
	}
}

// table is the list in Markdown.
func table(calls []Call) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d system calls; a condition that does not hold ends the process as well.\n\n", len(calls))
	b.WriteString("| system call | what makes it | condition |\n|---|---|---|\n")
	for _, c := range calls {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Name, c.Purpose, c.Condition)
	}
	return b.String()
}
