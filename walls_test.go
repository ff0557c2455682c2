// Package podswitch has no code: its tests hold for the whole tree.
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

const module = "github.com/podswitch/podswitch/"

// A wall is a depguard rule of .golangci.yaml. Files that match may not import what Deny names, unless a longer path in Allow
// names it too (depguard's mode "lax").
type wall struct {
	Files []string
	Deny  []struct{ Pkg, Desc string }
	Allow []string
}

// TestWalls holds every file against the import rules of the linter's configuration, so that they count where the linter is
// not installed.
func TestWalls(t *testing.T) {
	walls := readWalls(t)
	for _, path := range sources(t) {
		for _, imported := range imports(t, path) {
			for name, w := range walls {
				if desc, denied := w.denies(path, imported); denied {
					t.Errorf("%s imports %s: %s (rule %s)", path, imported, desc, name)
				}
			}
		}
	}
}

// TestWallsStand shows that the rules are read as they are meant: each of these imports is one that they refuse.
func TestWallsStand(t *testing.T) {
	walls := readWalls(t)
	for path, imported := range map[string]string{
		"vswitch/a.go":             "os",
		"vnet/a.go":                module + "vswitch",
		"internal/handover/a.go":   module + "vswitch",
		"internal/lookup/a.go":     module + "vswitch",
		"internal/packet/a.go":     module + "vswitch",
		"stack/a.go":               module + "internal/lookup",
		"stack/b.go":               module + "internal/packet",
		"replay/a.go":              module + "internal/handover",
		"pod/grant/c.go":           module + "internal/handover",
		"vswitch/b.go":             module + "tap",
		"tap/a.go":                 module + "unixport",
		"host/limits/a.go":         module + "vswitch",
		"pod/hypervisor/a.go":      module + "pod/podnet",
		"pod/podnet/a.go":          module + "pod/plan",
		"pod/plan/a.go":            module + "tap",
		"pod/grant/a.go":           module + "pod/plan",
		"pod/grant/b.go":           module + "tap",
		"pod/keeper/a.go":          module + "stack",
		"pod/keeper/b.go":          module + "pod/dataplane",
		"pod/dataplane/a.go":       module + "pod/podnet",
		"pod/dataplane/c.go":       module + "pod/plan",
		"pod/dataplane/b.go":       "golang.org/x/sys/unix",
		"cmd/podswitch/a.go":       "gvisor.dev/gvisor/pkg/tcpip",
		"cmd/podswitch/netlink.go": "github.com/vishvananda/netlink",
	} {
		refused := false
		for _, w := range walls {
			_, denied := w.denies(path, imported)
			refused = refused || denied
		}
		if !refused {
			t.Errorf("no rule keeps %s from importing %s", path, imported)
		}
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

// sources lists the Go files of the tree, without tests.
func sources(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func imports(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, i := range file.Imports {
		imported, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, imported)
	}
	return paths
}

// denies reports whether the rule is about the file and refuses the import, and the rule's reason.
func (w wall) denies(path, imported string) (desc string, denied bool) {
	if !w.covers(path) {
		return "", false
	}
	for _, deny := range w.Deny {
		if within(imported, deny.Pkg) && !w.allows(imported, len(deny.Pkg)) {
			return deny.Desc, true
		}
	}
	return "", false
}

// covers reports whether the rule is about a file. Its patterns are folders; golangci-lint wants "**/" before one that it excludes.
func (w wall) covers(path string) bool {
	covered := false
	for _, pattern := range w.Files {
		folder, excluded := strings.CutPrefix(strings.TrimSuffix(pattern, "**"), "!")
		if folder != "$test" && strings.HasPrefix(path, strings.TrimPrefix(folder, "**/")) {
			covered = !excluded
		}
	}
	return covered
}

// allows reports whether an entry of Allow that is longer than longest names the import.
func (w wall) allows(imported string, longest int) bool {
	for _, allowed := range w.Allow {
		if len(allowed) > longest && within(imported, allowed) {
			return true
		}
	}
	return false
}

func within(imported, pkg string) bool {
	return imported == pkg || strings.HasPrefix(imported, pkg+"/")
}
