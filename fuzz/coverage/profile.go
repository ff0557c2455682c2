package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
)

// A block is a run of statements that are reached together or not at all.
type block struct {
	file        string // path from the top of the repository
	line, until int
	statements  int
	reached     bool
}

// readProfile reads what go test -coverprofile wrote. A block is in it once for each package that was tested.
func readProfile(path string) ([]block, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	const module = "github.com/podswitch/podswitch/"
	all := map[string]*block{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		where, rest, _ := strings.Cut(strings.TrimPrefix(line, module), " ")
		var b block
		var count, column int
		file, position, _ := strings.Cut(where, ":")
		_, err := fmt.Sscanf(position+" "+rest, "%d.%d,%d.%d %d %d", &b.line, &column, &b.until, &column, &b.statements, &count)
		if err != nil {
			return nil, fmt.Errorf("%q: want FILE:LINE.COLUMN,LINE.COLUMN STATEMENTS COUNT: %w", line, err)
		}
		b.file = file
		if all[where] == nil {
			all[where] = &b
		}
		all[where].reached = all[where].reached || count > 0
	}
	var blocks []block
	for _, b := range all {
		blocks = append(blocks, *b)
	}
	slices.SortFunc(blocks, func(a, b block) int { return a.line - b.line })
	return blocks, nil
}

// A result is what the seeds reach of a part.
type result struct {
	statements, reached int
	missed              []string // where the others are
}

func (r result) percent() float64 { return 100 * float64(r.reached) / float64(r.statements) }

// result adds up the blocks of a part. A file or function that is not there any more is an error.
func (p part) result(blocks []block) (r result, err error) {
	for _, f := range p.files {
		within, err := f.lines()
		if err != nil {
			return r, err
		}
		before := r.statements
		for _, b := range blocks {
			if b.file != f.path || !within(b.line) {
				continue
			}
			r.statements += b.statements
			if b.reached {
				r.reached += b.statements
			} else {
				r.missed = append(r.missed, fmt.Sprintf("%s:%d-%d", b.file, b.line, b.until))
			}
		}
		if r.statements == before {
			return r, fmt.Errorf("%s: nothing was measured: want a file of a package that has fuzz targets, or of one below", f.path)
		}
	}
	return r, nil
}

// lines returns whether a line belongs to the functions of the file that are meant.
func (f file) lines() (func(line int) bool, error) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, f.path, nil, parser.SkipObjectResolution)
	if err != nil || len(f.functions) == 0 {
		return func(int) bool { return true }, err
	}
	var spans [][2]int
	for _, d := range parsed.Decls {
		if d, ok := d.(*ast.FuncDecl); ok && slices.Contains(f.functions, d.Name.Name) {
			spans = append(spans, [2]int{set.Position(d.Pos()).Line, set.Position(d.End()).Line})
		}
	}
	if len(spans) != len(f.functions) {
		return nil, fmt.Errorf("%s has %d of the functions %q", f.path, len(spans), f.functions)
	}
	return func(line int) bool {
		return slices.ContainsFunc(spans, func(s [2]int) bool { return s[0] <= line && line <= s[1] })
	}, nil
}
