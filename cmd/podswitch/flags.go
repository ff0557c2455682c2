package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A choice is a flag with a fixed set of values.
type choice struct {
	value   string
	allowed []string
}

// newChoice returns a flag whose default is the first value.
func newChoice(allowed ...string) *choice { return &choice{allowed[0], allowed} }

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		last := len(c.allowed) - 1
		return fmt.Errorf("want %s or %s", strings.Join(c.allowed[:last], ", "), c.allowed[last])
	}
	c.value = s
	return nil
}

// A parsed flag stores its value in a variable of type T.
type parsed[T any] struct {
	value *T
	text  string // the default, then the text of the command line
	kind  string // the placeholder in help texts
	parse func(string) (T, error)
}

func (p *parsed[T]) String() string { return p.text }
func (p *parsed[T]) Type() string   { return p.kind }

func (p *parsed[T]) Set(s string) (err error) {
	*p.value, err = p.parse(s)
	p.text = s
	return err
}

// A parsedList is a repeatable flag. Each occurrence appends a value.
type parsedList[T fmt.Stringer] struct {
	values *[]T
	kind   string // the placeholder in help texts
	parse  func(string) (T, error)
}

func (p *parsedList[T]) Type() string { return p.kind }

func (p *parsedList[T]) String() string {
	var texts []string
	for _, v := range *p.values {
		texts = append(texts, v.String())
	}
	return strings.Join(texts, ",")
}

func (p *parsedList[T]) Set(s string) error {
	v, err := p.parse(s)
	if err == nil {
		*p.values = append(*p.values, v)
	}
	return err
}

// defaultStateDir returns the default of --state-dir: a directory in /run for root, and in the user's own runtime directory
// otherwise.
func defaultStateDir() string {
	if os.Geteuid() == 0 {
		return "/run/podswitch"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "podswitch")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("podswitch-%d", os.Getuid()))
}

func addControl(c *cobra.Command, control *string) {
	c.Flags().StringVar(control, "control", filepath.Join(defaultStateDir(), "control.sock"), "`PATH` of the control socket")
}

// addMerge adds --merge, for nodes whose kernel, drivers or eBPF programs mishandle merged frames.
func addMerge(flags *pflag.FlagSet) *choice {
	merge := newChoice("on", "off")
	flags.Var(merge, "merge", "Merge TCP segments and UDP datagrams of one flow that are waiting together into one frame")
	return merge
}
