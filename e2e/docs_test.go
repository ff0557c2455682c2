package e2e

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Tables of docs that a test run writes.

var updateDocs = flag.Bool("update-docs", false, "write the tables of docs/plugins.md, docs/guests.md and, with -soak, docs/security.md from this run")

// writeTable replaces the table between the markers of a file in docs by a header and rows.
func writeTable(t *testing.T, name, header string, rows []string) {
	t.Helper()
	writeBetween(t, name, "<!-- results -->\n", "<!-- end -->\n", header, rows)
}

// writeBetween is writeTable with other markers, for a file with several tables.
func writeBetween(t *testing.T, name, begin, end, header string, rows []string) {
	t.Helper()
	file := filepath.Join("../docs", name)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s lacks its markers: want %q and %q", file, begin, end)
	}
	table := header + "\n" + strings.Repeat("|---", strings.Count(header, "|")-1) + "|\n" + strings.Join(rows, "\n") + "\n"
	write(t, file, head+begin+table+end+tail, 0o644)
}
