package e2e

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Tables in docs that a test run writes.

var updateDocs = flag.Bool("update-docs", false, "write the tables of docs/plugins.md and docs/guests.md from this run")

// writeTable writes the results into a file of docs, between its markers. The header is the first row.
func writeTable(t *testing.T, name, header string, rows []string) {
	t.Helper()
	const begin, end = "<!-- results -->\n", "<!-- end -->\n"
	file := filepath.Join("../docs", name)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s lacks its markers", file)
	}
	table := header + "\n" + strings.Repeat("|---", strings.Count(header, "|")-1) + "|\n" + strings.Join(rows, "\n") + "\n"
	write(t, file, head+begin+table+end+tail, 0o644)
}
