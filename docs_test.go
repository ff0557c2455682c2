package podswitch

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

// The documents name files, tests, drop reasons, constants and messages, and link to each other. The tests in this file fail for a
// document that names something that has been renamed or removed.

var (
	fences    = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	codeSpans = regexp.MustCompile("`[^`\n]+`")
	links     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headings  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	testNames = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*`)
	testFuncs = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	goFiles   = regexp.MustCompile(`(?:^|[^\w/.])([a-z][a-z0-9_]*\.go)\b`)
	filePaths = regexp.MustCompile(`^[a-zA-Z0-9_.-]+(/[a-zA-Z0-9_.-]+)*/?$`)
	reasonRow = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|")
)

// A tree has the paths of all files and directories of the repository, and their base names.
type tree struct{ paths, names map[string]bool }

func readTree(t *testing.T) tree {
	t.Helper()
	found := tree{map[string]bool{}, map[string]bool{}}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := strings.HasPrefix(name, ".") && name != "." && name != ".ci"; d.IsDir() && (hidden || name == "bin") {
			return fs.SkipDir // .git, .cache, and the output of make build
		}
		found.paths[name], found.names[d.Name()] = true, true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// documents returns the Markdown files of the tree by their paths.
func (f tree) documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for name := range f.paths {
		if strings.HasSuffix(name, ".md") {
			texts[name] = read(t, name)
		}
	}
	return texts
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestLinks checks that the target of a relative link exists, and that its fragment is a heading there.
func TestLinks(t *testing.T) {
	files := readTree(t)
	documents := files.documents(t)
	for name, text := range documents {
		for _, link := range links.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
			target, fragment, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, ":") {
				continue // an address
			}
			to := name
			if target != "" {
				to = path.Join(path.Dir(name), target)
			}
			if !files.paths[to] && to != "." {
				t.Errorf("%s links to %s, which does not exist", name, link[1])
			} else if fragment != "" && !slices.Contains(anchors(documents[to]), fragment) {
				t.Errorf("%s links to %s, and there is no such heading", name, link[1])
			}
		}
	}
}

// anchors returns the fragments of a document's headings, as GitHub derives them.
func anchors(text string) (list []string) {
	for _, heading := range headings.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
		kept := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
				return r
			}
			return -1
		}, strings.ToLower(heading[1]))
		list = append(list, kept)
	}
	return list
}

// TestNamedFiles checks that a path in a code span exists, and that a Go file that is named without its path exists in some directory.
func TestNamedFiles(t *testing.T) {
	files := readTree(t)
	for name, text := range files.documents(t) {
		for _, file := range goFiles.FindAllStringSubmatch(text, -1) {
			if !files.names[file[1]] {
				t.Errorf("%s names %s, and no file has that name", name, file[1])
			}
		}
		for _, span := range codeSpans.FindAllString(fences.ReplaceAllString(text, ""), -1) {
			if p := strings.TrimSuffix(strings.Trim(span, "`"), "/"); files.isPath(p) && !files.has(p, path.Dir(name)) {
				t.Errorf("%s names %s, which does not exist", name, p)
			}
		}
	}
}

// isPath reports whether a code span is a path of this repository: its first element is in the top directory. A path with an element in
// capitals, such as NAME, is a pattern and no path.
func (f tree) isPath(span string) bool {
	elements := strings.Split(span, "/")
	stands := func(element string) bool {
		stem, _, _ := strings.Cut(element, ".")
		return stem != "README" && stem == strings.ToUpper(stem) && stem != strings.ToLower(stem)
	}
	return len(elements) > 1 && filePaths.MatchString(span) && f.paths[elements[0]] && !slices.ContainsFunc(elements, stands)
}

// has reports whether a path exists, relative to the top directory or to the document's.
func (f tree) has(p, folder string) bool { return f.paths[p] || f.paths[path.Join(folder, p)] }

// TestNamedTests checks that the tests and fuzz targets in code spans exist.
func TestNamedTests(t *testing.T) {
	files := readTree(t)
	functions := map[string]bool{}
	for name := range files.paths {
		if strings.HasSuffix(name, "_test.go") {
			for _, found := range testFuncs.FindAllStringSubmatch(read(t, name), -1) {
				functions[found[1]] = true
			}
		}
	}
	for name, text := range files.documents(t) {
		for _, span := range codeSpans.FindAllString(fences.ReplaceAllString(text, ""), -1) {
			test := testNames.FindString(strings.Trim(span, "`"))
			if test != "" && !functions[test] {
				t.Errorf("%s names %s, and no test has that name", name, test)
			}
		}
	}
}

// TestDropReasons checks that the guide explains every drop reason, in the order of the code.
func TestDropReasons(t *testing.T) {
	const guide = "docs/troubleshooting.md"
	_, table, _ := strings.Cut(read(t, guide), "\n## Drop reasons\n")
	var have, want []string
	for _, row := range reasonRow.FindAllStringSubmatch(table, -1) {
		have = append(have, row[1])
	}
	for _, r := range vswitch.Reasons() {
		want = append(want, r.String())
	}
	if !slices.Equal(have, want) {
		t.Errorf("%s has the drop reasons\n%s\nwant those of vswitch/reason.go\n%s", guide, strings.Join(have, " "), strings.Join(want, " "))
	}
}

// TestBounds checks that the constants in the table of bounds are in the files beside them.
func TestBounds(t *testing.T) {
	const page = "docs/security.md"
	_, rest, _ := strings.Cut(read(t, page), "\n## Bounds\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	rows := 0
	for _, row := range strings.Split(section, "\n") {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		names := codeSpans.FindAllString(cells[len(cells)-1], -1)
		if len(cells) != 3 || len(names) < 2 {
			continue
		}
		rows++
		where := strings.Trim(names[len(names)-1], "`")
		for _, name := range names[:len(names)-1] {
			if !inSources(t, where, strings.Trim(name, "`")) {
				t.Errorf("%s names %s in %s, and it is not there", page, name, where)
			}
		}
	}
	if rows == 0 {
		t.Errorf("%s has no table of bounds", page)
	}
}

// inSources reports whether a file, or any Go file of a directory, contains the word.
func inSources(t *testing.T, where, word string) bool {
	t.Helper()
	files := []string{where}
	if !strings.HasSuffix(where, ".go") {
		files, _ = filepath.Glob(where + "/*.go")
	}
	pattern := regexp.MustCompile(`\b` + word + `\b`)
	return slices.ContainsFunc(files, func(file string) bool { return pattern.MatchString(read(t, file)) })
}

var (
	output      = regexp.MustCompile(`(?m)^(?:podswitch: |warning: |[0-9:.]+ +[a-z]+ +(?:pod +)?)([^{\n]+?)(?: +\{.*)?$`)
	message     = regexp.MustCompile("`([a-z][^`\n]* [^`\n]*)`")
	command     = regexp.MustCompile(`^(podswitch|ip|go|ethtool|tcpdump|cat|holder|keep|dhcp|no such|permission) `) // also status and errno texts
	placeholder = regexp.MustCompile(`…|\S+\.yaml|no such file or directory|an encapsulation|\b[A-Z]+\b|\S*[\d/]\S*|: (needs )?|^needs |, but |\(|\)`)
)

// TestMessages checks that the program has the messages that the guide quotes: the text between their placeholders is in a source file.
func TestMessages(t *testing.T) {
	const guide = "docs/troubleshooting.md"
	var all strings.Builder
	for _, source := range sources(t) {
		all.WriteString(read(t, source))
	}
	for _, quoted := range quotes(read(t, guide)) {
		for _, part := range placeholder.Split(quoted, -1) {
			part = strings.TrimPrefix(strings.Trim(part, " ,:"), "needs ")
			if strings.Contains(part, " ") && !strings.Contains(all.String(), part) {
				t.Errorf("%s quotes %q: no source file has %q", guide, quoted, part)
			}
		}
	}
}

// quotes returns the messages in a document: code spans, output lines and log lines.
func quotes(text string) (list []string) {
	for _, fence := range fences.FindAllString(text, -1) {
		for _, line := range output.FindAllStringSubmatch(fence, -1) {
			list = append(list, line[1])
		}
	}
	for _, span := range message.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
		if !command.MatchString(span[1]) {
			list = append(list, span[1])
		}
	}
	return list
}

var (
	released    = regexp.MustCompile(`(?m)^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$`)
	versionLine = regexp.MustCompile(`(?m)^const version = "(.+)"$`)
)

// TestChangelog checks that the newest release of the changelog is the version that podswitch prints.
func TestChangelog(t *testing.T) {
	release := released.FindStringSubmatch(read(t, "CHANGELOG.md"))
	printed := versionLine.FindStringSubmatch(read(t, "cmd/podswitch/version.go"))
	if release == nil || printed == nil || release[1] != printed[1] {
		t.Errorf("the newest release of CHANGELOG.md is %q, and podswitch version prints %q", release, printed)
	}
}
