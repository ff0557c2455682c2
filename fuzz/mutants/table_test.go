package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the top of the repository.
const root = "../.."

// Every mutant must apply: its file contains the text that it replaces exactly once. A change that renames the file or rewrites
// the line also updates the table, so that the mutant makes the same mistake in the new code.
func TestMutantsApply(t *testing.T) {
	for _, m := range mutants() {
		text, err := os.ReadFile(filepath.Join(root, m.file))
		if err != nil {
			t.Errorf("%s: %s: %v", m.target, m.what, err)
			continue
		}
		if n := strings.Count(string(text), m.right); n != 1 {
			t.Errorf("%s: %s: %s contains %q %d times, want once", m.target, m.what, m.file, m.right, n)
		}
	}
}

// Every mutant belongs to a fuzz target of its package.
func TestMutantsHaveTarget(t *testing.T) {
	for _, m := range mutants() {
		files, err := filepath.Glob(filepath.Join(root, m.pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !declares(t, files, m.target) {
			t.Errorf("%s: package %s has no function %s", m.what, m.pkg, m.target)
		}
	}
}

func declares(t *testing.T, files []string, function string) bool {
	t.Helper()
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+function+"(") {
			return true
		}
	}
	return false
}

// docs/fuzzing.md has a row for every mutant, in the order of the table, and no others.
func TestMutantsDocumented(t *testing.T) {
	var want []string
	for _, m := range mutants() {
		want = append(want, m.row())
	}
	got := documentedRows(t)
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			t.Errorf("docs/fuzzing.md lacks the row %q", want[i])
		case i >= len(want):
			t.Errorf("docs/fuzzing.md has the row %q, which is no mutant", got[i])
		case got[i] != want[i]:
			t.Errorf("docs/fuzzing.md: row %d is %q, want %q", i+1, got[i], want[i])
		}
	}
}

// documentedRows returns the rows of the mutants' table in docs/fuzzing.md without their last column.
func documentedRows(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/fuzzing.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), header)
	if !ok {
		t.Fatalf("docs/fuzzing.md has no table with the header %q", header)
	}
	var rows []string
	for _, line := range strings.Split(strings.TrimPrefix(rest, "\n"), "\n") {
		if !strings.HasPrefix(line, "| ") {
			break
		}
		cells := strings.Split(line, " | ")
		rows = append(rows, strings.Join(cells[:len(cells)-1], " | "))
	}
	return rows
}
