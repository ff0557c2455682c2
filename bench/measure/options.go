package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// options has the settings from the command line.
type options struct {
	seconds, rounds               int
	only, figures                 []string
	podswitch, peers, json, chart string
}

// errUsage is returned for an invalid command line after the cause was printed.
var errUsage = errors.New("wrong command line")

func parse(args []string) (options, error) {
	var o options
	var names []string
	for _, g := range groups() {
		names = append(names, g.name)
	}
	cache := os.Getenv("PODSWITCH_CACHE")
	if cache == "" {
		cache = ".cache"
	}
	flags := flag.NewFlagSet("measure", flag.ContinueOnError)
	flags.IntVar(&o.seconds, "seconds", 2, "length of a transfer or flood, in seconds")
	flags.IntVar(&o.rounds, "rounds", 3, "number of measurements of each candidate")
	only := flags.String("only", "", "the candidates, separated by commas (default all)")
	figures := flags.String("figures", strings.Join(names, ","), "groups of figures, separated by commas")
	flags.StringVar(&o.podswitch, "podswitch", "bin/podswitch", "the program to measure")
	flags.StringVar(&o.peers, "peers", filepath.Join(cache, "peers"), "folder of peers that bench/peers has installed")
	flags.StringVar(&o.json, "json", "bench/results.json", "file for the results; empty for none")
	flags.StringVar(&o.chart, "chart", "docs/performance.svg", "file for the chart, SVG; empty for none")
	if err := flags.Parse(args); err != nil {
		return o, errUsage
	}
	o.figures = strings.Split(*figures, ",")
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	fault := o.check(names, flags.Args())
	if fault == "" {
		return o, nil
	}
	fmt.Fprintln(os.Stderr, "bench:", fault)
	return o, errUsage
}

func (o options) check(names, rest []string) string {
	for _, name := range o.figures {
		if !slices.Contains(names, name) {
			return fmt.Sprintf("-figures: %q: want some of %s", name, strings.Join(names, ","))
		}
	}
	switch {
	case len(rest) > 0:
		return fmt.Sprintf("%q: want flags alone", rest[0])
	case o.seconds < 1 || o.seconds > 600:
		return fmt.Sprintf("-seconds %d: want 1 to 600", o.seconds)
	case o.rounds < 1 || o.rounds > 100:
		return fmt.Sprintf("-rounds %d: want 1 to 100", o.rounds)
	}
	return ""
}

// candidates returns the candidates that -only names, in the order of the table.
func (o options) candidates(all []candidate) ([]candidate, error) {
	if o.only == nil {
		return all, nil
	}
	var chosen []candidate
	var names []string
	for _, c := range all {
		names = append(names, c.name)
		if slices.Contains(o.only, c.name) {
			chosen = append(chosen, c)
		}
	}
	for _, name := range o.only {
		if !slices.Contains(names, name) {
			fmt.Fprintf(os.Stderr, "bench: -only: %q: want some of %s\n", name, strings.Join(names, ","))
			return nil, errUsage
		}
	}
	return chosen, nil
}

// thisMachine describes the machine. Fields that it cannot read are empty.
func thisMachine() machine {
	m := machine{Cores: runtime.NumCPU()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	info, _ := os.ReadFile("/proc/cpuinfo")
	m.CPU = processor(string(info))
	return m
}

// processor returns the model name in /proc/cpuinfo.
func processor(info string) string {
	for line := range strings.Lines(info) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "an unknown processor"
}
