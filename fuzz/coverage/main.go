// Coverage measures which statements of the forwarders and parsers the seeds of the fuzz targets reach by themselves, before any
// fuzzing.
//
//	go run ./fuzz/coverage [-least 95] [-missed]
//
// It prints a table, and exits with 1 if a part of it has less than wanted. It needs no privilege.
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
	least := flag.Float64("least", 95, "percentage that each part must have")
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
		return fmt.Errorf("less than %g %% of: %s", *least, strings.Join(short, "; "))
	}
	return nil
}

// measure runs the targets with their seeds. They are in the packages of the parts, and in fuzz.
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
