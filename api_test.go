package podswitch

import (
	"bytes"
	"flag"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/api")

// library lists the packages that docs/library.md promises to others.
var library = []string{"dhcpsrv", "model", "replay", "stack", "tap", "unixport", "vnet", "vswitch"}

// TestAPI compares the exported API of the library's packages with testdata/api, so that a change of it shows in review.
// "go test . -run TestAPI -update" rewrites the files.
func TestAPI(t *testing.T) {
	for _, name := range library {
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata", "api", name+".txt")
			got := exported(t, name)
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("the exported API of %s differs from %s (-want +got); for an intended change run this test with -update and add a line to CHANGELOG.md:\n%s",
					name, golden, diff)
			}
		})
	}
}

// exported prints the exported declarations of a package, without comments and bodies, in alphabetical order.
func exported(t *testing.T, folder string) []byte {
	t.Helper()
	pkg, err := build.ImportDir(folder, 0)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	var declarations []string
	for _, name := range pkg.GoFiles {
		file, err := parser.ParseFile(files, filepath.Join(folder, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(file)
		for _, d := range file.Decls {
			if !isImport(d) && !isHiddenMethod(d) {
				declarations = append(declarations, declaration(t, files, d))
			}
		}
	}
	slices.Sort(declarations)
	return []byte("package " + pkg.Name + "\n\n" + strings.Join(declarations, "\n\n") + "\n")
}

func isImport(d ast.Decl) bool {
	g, ok := d.(*ast.GenDecl)
	return ok && g.Tok == token.IMPORT
}

// isHiddenMethod reports whether d is a method of a type that the package does not export.
func isHiddenMethod(d ast.Decl) bool {
	f, ok := d.(*ast.FuncDecl)
	if !ok || f.Recv == nil {
		return false
	}
	receiver := f.Recv.List[0].Type
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	name, ok := receiver.(*ast.Ident)
	return ok && !name.IsExported()
}

// declaration prints one declaration without its comments and body.
func declaration(t *testing.T, files *token.FileSet, d ast.Decl) string {
	t.Helper()
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			n.Doc = nil
		case *ast.FuncDecl:
			n.Doc, n.Body = nil, nil
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		}
		return true
	})
	var text bytes.Buffer
	if err := (&printer.Config{Mode: printer.UseSpaces, Tabwidth: 4}).Fprint(&text, files, d); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(text.String(), "\n\n", "\n") // where comments were
}
