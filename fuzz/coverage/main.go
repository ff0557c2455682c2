// Coverage measures which statements of the forwarders and parsers the seeds of the fuzz targets reach without fuzzing.
//
//	go run ./fuzz/coverage [-least 95] [-missed]
//
// It prints a table, and exits with 1 if a row is below the required percentage. It needs no privileges.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "coverage:", err)
		os.Exit(1)
	}
}

func run() error {
	least := flag.Float64("least", 95, "smallest percentage of each part")
	missed := flag.Bool("missed", false, "list the statements that no seed reaches")
	flag.Parse()
	folder, err := os.MkdirTemp("", "podswitch-coverage")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	profile := filepath.Join(folder, "profile")
	if err := measure(profile); err != nil {
		return err
	}
	blocks, err := readProfile(profile)
	if err != nil {
		return err
	}
	var short []string
	fmt.Println("| part | statements | reached by the seeds |\n|---|---|---|")
	for _, p := range parts() {
		r, err := p.result(blocks)
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %d | %.1f %% |\n", p.name, r.statements, r.percent())
		if r.percent() < *least {
			short = append(short, p.name)
		}
		if *missed {
			fmt.Println(strings.Join(r.missed, "\n"))
		}
	}
	if short != nil {
		return fmt.Errorf("below %g %%: %s", *least, strings.Join(short, "; "))
	}
	return nil
}

// measure runs the targets with their seeds and writes a coverage profile. The targets are in the packages of the parts, and in fuzz.
func measure(profile string) error {
	var packages []string
	for _, p := range parts() {
		for _, f := range p.files {
			packages = append(packages, "./"+filepath.Dir(f.path))
		}
	}
	slices.Sort(packages)
	packages = slices.Compact(packages)
	args := append([]string{"test", "-count=1", "-run", "^Fuzz", "-coverprofile", profile, "-coverpkg", strings.Join(packages, ","), "./fuzz"}, packages...)
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
