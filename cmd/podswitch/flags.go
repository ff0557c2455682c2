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

// A choice is a flag with a fixed set of values; the first one is the default.
type choice struct {
	value   string
	allowed []string
}

func newChoice(allowed ...string) *choice { return &choice{allowed[0], allowed} }

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("want %s", strings.Join(c.allowed, " or "))
	}
	c.value = s
	return nil
}

// A parsed flag has a value of some type, and a function that reads it.
type parsed[T any] struct {
	value *T
	text  string
	kind  string
	parse func(string) (T, error)
}

func (p *parsed[T]) String() string { return p.text }
func (p *parsed[T]) Type() string   { return p.kind }

func (p *parsed[T]) Set(s string) (err error) {
	*p.value, err = p.parse(s)
	p.text = s
	return err
}

// A parsedList is a flag that may be given several times.
type parsedList[T fmt.Stringer] struct {
	values *[]T
	kind   string
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

// defaultStateDir is where state files go: /run for root, the user's own runtime directory otherwise.
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
	c.Flags().StringVar(control, "control", filepath.Join(defaultStateDir(), "control.sock"), "Path of the control socket")
}

// addMerge adds the flag for whoever has a kernel, or something on the node, that is at fault with large frames.
func addMerge(flags *pflag.FlagSet) *choice {
	merge := newChoice("on", "off")
	flags.Var(merge, "merge", "Whether TCP segments and UDP datagrams of a flow that wait together go on as one frame")
	return merge
}
