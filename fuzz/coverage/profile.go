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

// A block is a sequence of statements that are executed together.
type block struct {
	file       string // path from the top of the repository
	line       int    // first line
	lastLine   int
	statements int
	reached    bool
}

// readProfile reads a file of go test -coverprofile. It merges the entries of a block, of which there is one for each tested package.
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
		_, err := fmt.Sscanf(position+" "+rest, "%d.%d,%d.%d %d %d", &b.line, &column, &b.lastLine, &column, &b.statements, &count)
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

// A result is the coverage of a part.
type result struct {
	statements, reached int
	missed              []string // positions of the other blocks
}

func (r result) percent() float64 { return 100 * float64(r.reached) / float64(r.statements) }

// result adds the blocks of a part. It returns an error if a file or function of the part does not exist.
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
				r.missed = append(r.missed, fmt.Sprintf("%s:%d-%d", b.file, b.line, b.lastLine))
			}
		}
		if r.statements == before {
			return r, fmt.Errorf("%s: no statement was measured: want a file of a package with fuzz targets, or of one that they import", f.path)
		}
	}
	return r, nil
}

// lines returns a function that reports whether a line belongs to the functions of the file.
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
