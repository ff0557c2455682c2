// Mutants shows that the fuzz targets and tests find faults. It makes one small mistake at a time in a copy of the repository and runs the
// responsible target, a fuzz target first with its seeds and then with fuzzing.
//
//	go run ./fuzz/mutants [-fuzztime 60s] [TARGET|FILE]...
//
// With arguments it makes only the mistakes of these targets and in these files. It prints a table, and exits with 1 if a target does not
// find its mistake. The tests of pod/podnet make network namespaces: without root, their mistakes are left out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	fuzzTime := flag.Duration("fuzztime", time.Minute, "time for a target to find a mistake by fuzzing")
	flag.Parse()
	folder, err := os.MkdirTemp("", "podswitch-mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := errors.Join(copyTree(ctx, folder), os.Mkdir(filepath.Join(folder, captures), 0o700)); err != nil {
		return err
	}
	var survivors []string
	fmt.Println(header)
	for _, m := range mutants() {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), m.target) && !slices.Contains(flag.Args(), m.file) {
			continue
		}
		if m.needsRoot() && os.Geteuid() != 0 {
			fmt.Printf("%s | needs root |\n", m.row())
			continue
		}
		found, err := m.hunt(ctx, folder, *fuzzTime)
		if err != nil {
			return fmt.Errorf("%s: %w", m.what, err)
		}
		if found == "" {
			found = "nothing"
			if !m.isTest() {
				found += " in " + fuzzTime.String()
			}
			survivors = append(survivors, m.what)
		}
		fmt.Printf("%s | %s |\n", m.row(), found)
	}
	if survivors != nil {
		return fmt.Errorf("not found: %s", strings.Join(survivors, "; "))
	}
	return nil
}

// header is the head of the table that is printed, and that docs/fuzzing.md repeats.
const header = "| target | mistake | found by |\n|---|---|---|"

// row returns the mutant's row of the table without its last column.
func (m mutant) row() string { return fmt.Sprintf("| %s | %s: %s", m.target, m.file, m.what) }

// isTest reports whether the target is a test: it has no seeds, and is not fuzzed.
func (m mutant) isTest() bool { return strings.HasPrefix(m.target, "Test") }

// needsRoot reports whether the target is skipped without root.
func (m mutant) needsRoot() bool { return m.isTest() && m.pkg == "./pod/podnet" }

// captures is the directory for the captures of failures, in the copy of the repository.
const captures = ".captures"

// copyTree copies all files that are tracked by git, or untracked and not ignored, to the folder.
func copyTree(ctx context.Context, folder string) error {
	command := exec.CommandContext(ctx, "bash", "-c",
		`set -o pipefail; git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d "" file; do
			if [[ -e $file ]]; then printf "%s\0" "$file"; fi
		done | tar --null -cf - -T - | tar -xf - -C "$1"`,
		"bash", folder)
	command.Stderr = os.Stderr
	return command.Run()
}

// hunt makes the mistake, runs the target, and restores the file. It returns how the target found the mistake, or the empty string.
func (m mutant) hunt(ctx context.Context, folder string, fuzzTime time.Duration) (found string, err error) {
	path := filepath.Join(folder, m.file)
	right, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(right), m.right); n != 1 {
		return "", fmt.Errorf("%s has %q %d times, want once", m.file, m.right, n)
	}
	wrong := strings.Replace(string(right), m.right, m.wrong, 1)
	if err := os.WriteFile(path, []byte(wrong), 0o644); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, right, 0o644)) }()
	if out, err := call(ctx, folder, "go", "test", "-run", "^$", m.pkg); err != nil {
		return "", fmt.Errorf("does not compile: %s", out)
	}
	if _, err := call(ctx, folder, "go", "test", "-timeout", "2m", "-run", "^"+m.target+"$", m.pkg); err != nil {
		if m.isTest() {
			return "test", ctx.Err()
		}
		return "seeds", ctx.Err()
	}
	if m.isTest() {
		return "", ctx.Err()
	}
	start := time.Now()
	_, err = call(ctx, folder, "go", "test", "-run", "^$", "-fuzz", "^"+m.target+"$", "-fuzztime", fuzzTime.String(),
		"-fuzzminimizetime", "100x", m.pkg)
	if err == nil || ctx.Err() != nil {
		return "", ctx.Err()
	}
	// The failing input must not become a seed for the next mistake.
	if err := os.RemoveAll(filepath.Join(folder, m.pkg, "testdata", "fuzz", m.target)); err != nil {
		return "", err
	}
	return fmt.Sprintf("fuzzing, %.0f s", time.Since(start).Seconds()), copyTree(ctx, folder)
}

func call(ctx context.Context, folder, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = folder
	command.Env = append(os.Environ(), "TMPDIR="+filepath.Join(folder, captures))
	out, err := command.CombinedOutput()
	return string(out), err
}
