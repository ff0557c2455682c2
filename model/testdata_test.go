package model

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata/vm")

// TestFolder parses every document of testdata/vm. The golden file of NAME.yaml is NAME.faults, the faults one a line, or
// NAME.resolved, the rule as a comment followed by the document that Marshal returns. To add a test, add a document, run this
// test with -update, and review the file that it writes.
func TestFolder(t *testing.T) {
	folder := filepath.Join("..", "testdata", "vm")
	documents, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(documents) == 0 {
		t.Fatalf("no documents in %s: %v", folder, err)
	}
	expected := make(map[string]bool)
	for _, path := range documents {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			extension, got := outcome(t, data)
			golden := strings.TrimSuffix(path, ".yaml") + extension
			expected[golden] = true
			compareGolden(t, golden, got)
		})
	}
	for _, pattern := range []string{"*.faults", "*.resolved"} {
		goldens, _ := filepath.Glob(filepath.Join(folder, pattern))
		for _, golden := range goldens {
			if !expected[golden] {
				t.Errorf("%s: no document has this result", golden)
			}
		}
	}
}

// outcome parses a document and returns the extension and the contents of its golden file.
func outcome(t *testing.T, data []byte) (extension, content string) {
	vm, err := Parse(data)
	if err != nil {
		return ".faults", err.Error() + "\n"
	}
	text, err := vm.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return ".resolved", "# " + vm.Rule + "\n" + string(text)
}

// compareGolden compares got with a golden file, or rewrites it under -update.
func compareGolden(t *testing.T, path, got string) {
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; the document gives:\n%s", err, got)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-%s +got:\n%s", filepath.Base(path), diff)
	}
}
