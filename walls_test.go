// Package podswitch has no code of its own at the top: this test holds the house together.
package podswitch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A wall is a depguard rule of .golangci.yaml: files that match may not import what is denied.
type wall struct {
	Files []string
	Deny  []struct{ Pkg, Desc string }
}

// TestWalls reads the import walls from the linter's configuration and checks every file, because the linter is not
// everywhere.
func TestWalls(t *testing.T) {
	walls := readWalls(t)
	if len(walls) == 0 {
		t.Fatal("no walls in .golangci.yaml")
	}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for name, w := range walls {
			if w.covers(path) {
				w.check(t, name, path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readWalls(t *testing.T) map[string]wall {
	t.Helper()
	data, err := os.ReadFile(".golangci.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct{ Rules map[string]wall }
			}
		}
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	return config.Linters.Settings.Depguard.Rules
}

// covers tells whether the rule is about a file: folders only, which is all that the rules use.
func (w wall) covers(path string) bool {
	covered := false
	for _, pattern := range w.Files {
		folder, excluded := strings.CutPrefix(strings.TrimSuffix(pattern, "**"), "!")
		if folder != "$test" && strings.HasPrefix(path, folder) {
			covered = !excluded
		}
	}
	return covered
}

func (w wall) check(t *testing.T, name, path string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	for _, i := range file.Imports {
		imported, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Error(err)
		}
		for _, deny := range w.Deny {
			if imported == deny.Pkg || strings.HasPrefix(imported, deny.Pkg+"/") {
				t.Errorf("%s imports %s: %s (%s)", path, imported, deny.Desc, name)
			}
		}
	}
}
