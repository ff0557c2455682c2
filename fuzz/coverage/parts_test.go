package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every part names files and functions that exist, so that a rename cannot take them out of the measurement.
func TestPartsExist(t *testing.T) {
	t.Chdir("../..")
	for _, p := range parts() {
		for _, f := range p.files {
			if _, err := f.lines(); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		}
	}
}

// docs/fuzzing.md has a row for every part.
func TestPartsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("../..", "docs/fuzzing.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts() {
		if !strings.Contains(string(text), "\n| "+p.name+" | ") {
			t.Errorf("docs/fuzzing.md has no row for %q", p.name)
		}
	}
}
